// Takes messages apart as servers and workers do, and compares with what
// Protocol Buffers' own parser makes of the same bytes.
//
//   | which message, 1 byte | how it is cut, 1 byte | the message's bytes |

#include <google/protobuf/unknown_field_set.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/wire/payload_message.h"
#include "tessera/v1/parameter.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tessera {
namespace {

using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// Bytes in pieces, each in memory of its own so that AddressSanitizer sees
// every step over an edge.
class Pieces {
 public:
  // `cuts` decides where: 0 for one piece, else pieces of up to `cuts` bytes.
  Pieces(absl::string_view bytes, uint8_t cuts) {
    uint32_t random = cuts;
    while (!bytes.empty()) {
      random = random * 1664525 + 1013904223;
      const size_t size =
          cuts == 0 ? bytes.size()
                    : std::min<size_t>(bytes.size(), 1 + (random >> 16) % cuts);
      pieces_.emplace_back(bytes.begin(), bytes.begin() + size);
      bytes.remove_prefix(size);
    }
    for (const auto& piece : pieces_) view_.Append(piece);
  }

  const FragmentedBytes& view() const { return view_; }

 private:
  std::vector<std::vector<uint8_t>> pieces_;
  FragmentedBytes view_;
};

std::string Text(const FragmentedBytes& bytes) {
  std::string text(bytes.size(), '\0');
  bytes.CopyTo(text.data());
  return text;
}

// What we refuse though a parser takes it: no serialiser makes these.
bool IsUnusual(absl::string_view bytes, const std::string& payload) {
  if (bytes.size() - payload.size() > kMaxHeaderBytes) return true;
  UnknownFieldSet fields;
  TESSERA_CHECK(
      fields.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  int payloads = 0;
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    if (field.type() == UnknownField::TYPE_GROUP) return true;
    payloads += field.number() == kPayloadField &&
                field.type() == UnknownField::TYPE_LENGTH_DELIMITED;
  }
  return payloads > 1;
}

template <typename Message>
void CheckResend(const Message& header, const std::string& payload,
                 const Message& whole) {
  // Empty payloads are left out by their senders.
  if (payload.empty()) return;
  const std::string sent = SerializeHeader(header, payload.size()) + payload;
  Message again;
  TESSERA_CHECK(again.ParseFromString(sent));
  TESSERA_CHECK(again.SerializeAsString() == whole.SerializeAsString());
}

template <typename Message>
void Check(absl::string_view bytes, uint8_t cuts) {
  Message whole;
  const bool parses =
      whole.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const Pieces pieces(bytes, cuts);
  Message header;
  const auto payload = ParsePayloadMessage(pieces.view(), header);
  if (!payload.ok()) {
    TESSERA_CHECK(absl::IsInvalidArgument(payload.status()));
    TESSERA_CHECK(!parses || IsUnusual(bytes, whole.payload()));
    return;
  }
  TESSERA_CHECK(parses);
  const std::string text = Text(*payload);
  TESSERA_CHECK(text == whole.payload());
  CheckResend(header, text, whole);
  whole.clear_payload();
  TESSERA_CHECK(header.SerializeAsString() == whole.SerializeAsString());
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 2,
                                size - 2);
  switch (data[0] % 4) {
    case 0:
      tessera::Check<tessera::v1::PushRequest>(bytes, data[1]);
      break;
    case 1:
      tessera::Check<tessera::v1::PushPullRequest>(bytes, data[1]);
      break;
    case 2:
      tessera::Check<tessera::v1::PullResponse>(bytes, data[1]);
      break;
    default:
      tessera::Check<tessera::v1::PushPullResponse>(bytes, data[1]);
      break;
  }
  return 0;
}
