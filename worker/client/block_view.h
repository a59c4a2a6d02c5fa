// A block's values where they arrived.

#ifndef TESSERA_WORKER_CLIENT_BLOCK_VIEW_H_
#define TESSERA_WORKER_CLIENT_BLOCK_VIEW_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "common/tensor/fragments.h"
#include "tessera/v1/encoding.pb.h"

namespace tessera {

// Values that were received, to be read in place: network buffers that the view
// owns, or memory of the server's that it has lent. Destroying the view lets go
// of them; while views of shared memory live, the server keeps those versions.
// A view may outlive its client. Move-only; thread-compatible.
class BlockView {
 public:
  // Where the bytes lie, and what keeps them.
  class Source {
   public:
    virtual ~Source() = default;
    virtual bool Valid() const = 0;
  };

  BlockView() = default;
  BlockView(FragmentedBytes bytes, std::unique_ptr<Source> source)
      : bytes_(std::move(bytes)), source_(std::move(source)) {}

  // The block's values in the job's pull encoding, in pieces without alignment.
  const FragmentedBytes& bytes() const { return bytes_; }

  int64_t version() const { return version_; }
  v1::Encoding encoding() const { return encoding_; }

  // Whether all that was read from the view so far is what the server sent. To
  // be asked after reading and before use: a server that has given up on this
  // worker writes to memory that it lent. Once false, always false. Always true
  // for what came over the network.
  bool Valid() const { return source_ == nullptr || source_->Valid(); }

 private:
  friend class BlockCall;

  FragmentedBytes bytes_;
  std::unique_ptr<Source> source_;
  int64_t version_ = 0;
  v1::Encoding encoding_ = v1::ENCODING_UNSPECIFIED;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_BLOCK_VIEW_H_
