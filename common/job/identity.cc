#include "common/job/identity.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <array>
#include <cstring>

#include "common/base/sha256.h"

namespace tessera {

std::string SerializeInOrder(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string SerializeJob(const v1::Job& resolved_job) {
  v1::Job identity = resolved_job;
  identity.clear_operation();
  return SerializeInOrder(identity);
}

uint64_t FingerprintOfSerialized(absl::string_view job) {
  const std::array<uint8_t, 32> digest = Sha256Digest(job);
  uint64_t fingerprint;
  std::memcpy(&fingerprint, digest.data(), sizeof(fingerprint));
  return fingerprint;
}

}  // namespace tessera
