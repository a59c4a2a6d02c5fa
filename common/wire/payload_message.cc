#include "common/wire/payload_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kFixed32 = 5,
};

constexpr uint32_t kPayloadTag = kPayloadField << 3 | kLengthDelimited;

// Lets CodedInputStream read a message that lies in pieces.
class FragmentedInput : public google::protobuf::io::ZeroCopyInputStream {
 public:
  explicit FragmentedInput(const FragmentedBytes& bytes) : bytes_(bytes) {}

  bool Next(const void** data, int* size) override {
    if (piece_ == bytes_.pieces().size()) return false;
    const FragmentedBytes::Piece& piece = bytes_.pieces()[piece_];
    // A piece above 2 GiB is handed out in parts.
    const size_t count = std::min<size_t>(piece.size() - offset_, 1 << 30);
    *data = piece.data() + offset_;
    *size = static_cast<int>(count);
    Advance(count);
    return true;
  }

  void BackUp(int count) override {
    // Only ever within what Next just gave.
    if (offset_ == 0) offset_ = bytes_.pieces()[--piece_].size();
    offset_ -= static_cast<size_t>(count);
    position_ -= count;
  }

  bool Skip(int count) override {
    auto left = static_cast<size_t>(count);
    while (left > 0) {
      if (piece_ == bytes_.pieces().size()) return false;
      const size_t take =
          std::min(left, bytes_.pieces()[piece_].size() - offset_);
      Advance(take);
      left -= take;
    }
    return true;
  }

  int64_t ByteCount() const override { return position_; }

 private:
  void Advance(size_t count) {
    offset_ += count;
    position_ += static_cast<int64_t>(count);
    if (offset_ == bytes_.pieces()[piece_].size()) {
      ++piece_;
      offset_ = 0;
    }
  }

  const FragmentedBytes& bytes_;
  size_t piece_ = 0;
  size_t offset_ = 0;
  int64_t position_ = 0;
};

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the message cannot be parsed: ", what));
}

// Steps over one field's value, other than the payload.
bool SkipValue(CodedInputStream& input, uint32_t tag) {
  switch (tag & 7) {
    case kVarint: {
      uint64_t ignored;
      return input.ReadVarint64(&ignored);
    }
    case kFixed64:
      return input.Skip(8);
    case kFixed32:
      return input.Skip(4);
    case kLengthDelimited: {
      uint32_t length;
      return input.ReadVarint32(&length) && length <= kMaxHeaderBytes &&
             input.Skip(static_cast<int>(length));
    }
    default:
      return false;
  }
}

// Parsers take a tag or a length of up to five bytes, however little it says.
constexpr size_t kMaxVarint32Bytes = 5;

// Reads a length as parsers do: they would refuse any other.
bool ReadLength(CodedInputStream& input, uint32_t& length) {
  const int begin = input.CurrentPosition();
  uint64_t value;
  if (!input.ReadVarint64(&value) || value > INT32_MAX) return false;
  length = static_cast<uint32_t>(value);
  return static_cast<size_t>(input.CurrentPosition() - begin) <=
         kMaxVarint32Bytes;
}

struct PayloadPlace {
  size_t tag_begin = 0;  // Where its tag starts.
  size_t begin = 0;      // Where its bytes start.
  size_t length = 0;
};

// Finds the payload, checking that the fields around it are whole.
absl::StatusOr<std::optional<PayloadPlace>> FindPayload(
    const FragmentedBytes& message) {
  FragmentedInput stream(message);
  CodedInputStream input(&stream);
  std::optional<PayloadPlace> place;
  while (true) {
    const auto tag_begin = static_cast<size_t>(input.CurrentPosition());
    const size_t header_bytes = tag_begin - (place ? place->length : 0);
    if (header_bytes > kMaxHeaderBytes)
      return Malformed("its header is too long");
    const uint32_t tag = input.ReadTag();
    if (tag == 0) break;
    if (tag != kPayloadTag) {
      if (!SkipValue(input, tag)) return Malformed("a field is broken or cut");
      continue;
    }
    // The header's parser sees neither the payload's tag nor its length.
    if (input.CurrentPosition() - tag_begin > kMaxVarint32Bytes) {
      return Malformed("the payload's tag is too long");
    }
    uint32_t length;
    if (!ReadLength(input, length)) return Malformed("payload length");
    if (place) return Malformed("it has two payloads");
    const auto begin = static_cast<size_t>(input.CurrentPosition());
    if (length > message.size() - begin) {
      return Malformed(absl::StrCat("its payload is ", length,
                                    " bytes long where only ",
                                    message.size() - begin, " follow"));
    }
    place = PayloadPlace{tag_begin, begin, length};
    if (!input.Skip(static_cast<int>(length))) return Malformed("payload");
  }
  if (!input.ConsumedEntireMessage() ||
      static_cast<size_t>(input.CurrentPosition()) != message.size()) {
    return Malformed("a field's tag is broken");
  }
  return place;
}

// All bytes but the payload's field.
std::string HeaderBytes(const FragmentedBytes& message,
                        const std::optional<PayloadPlace>& place) {
  std::string bytes;
  const size_t before = place ? place->tag_begin : message.size();
  bytes.resize(before);
  message.Subview(0, before).CopyTo(bytes.data());
  if (place) {
    const size_t resume = place->begin + place->length;
    const size_t after = message.size() - resume;
    bytes.resize(before + after);
    message.Subview(resume, after).CopyTo(bytes.data() + before);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<FragmentedBytes> ParsePayloadMessage(
    const FragmentedBytes& message, google::protobuf::MessageLite& header) {
  if (message.size() > (size_t{1} << 31) - 1) return Malformed("over 2 GiB");
  TESSERA_ASSIGN_OR_RETURN(std::optional<PayloadPlace> place,
                           FindPayload(message));
  if (!header.ParseFromString(HeaderBytes(message, place))) {
    return Malformed("its header is not a " + header.GetTypeName());
  }
  if (!place) return FragmentedBytes();
  return message.Subview(place->begin, place->length);
}

std::string SerializeHeader(const google::protobuf::MessageLite& header,
                            size_t payload_bytes) {
  std::string bytes = header.SerializeAsString();
  google::protobuf::io::StringOutputStream stream(&bytes);
  CodedOutputStream output(&stream);
  output.WriteTag(kPayloadTag);
  output.WriteVarint64(payload_bytes);
  return bytes;
}

}  // namespace tessera
