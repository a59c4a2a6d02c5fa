#include "common/wire/payload_message.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "tessera/v1/parameter.pb.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

FragmentedBytes::Piece PieceOf(absl::string_view bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

FragmentedBytes Whole(const std::string& bytes) {
  return FragmentedBytes(PieceOf(bytes));
}

std::string Text(const FragmentedBytes& bytes) {
  std::string text(bytes.size(), '\0');
  bytes.CopyTo(text.data());
  return text;
}

v1::PushRequest ExampleHeader() {
  v1::PushRequest header;
  header.set_job_fingerprint(0x1122334455667788);
  header.set_block(300);
  header.set_step(1000000);
  header.set_microbatch_end(4);
  header.set_loss_sum(0.5);
  header.set_encoding(v1::ENCODING_FLOAT32);
  return header;
}

TEST_CASE("what we send is the serialised message") {
  const std::string payload = "sixteen bytes...";
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload(payload);
  REQUIRE(SerializeHeader(ExampleHeader(), payload.size()) + payload ==
          whole.SerializeAsString());
}

TEST_CASE("a message is taken apart wherever it is cut") {
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload("sixteen bytes...");
  const std::string bytes = whole.SerializeAsString();
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    FragmentedBytes message(PieceOf(absl::string_view(bytes).substr(0, cut)));
    message.Append(PieceOf(absl::string_view(bytes).substr(cut)));
    v1::PushRequest header;
    const auto payload = ParsePayloadMessage(message, header);
    REQUIRE_OK(payload);
    REQUIRE(Text(*payload) == whole.payload());
    REQUIRE(header.SerializeAsString() == ExampleHeader().SerializeAsString());
  }
}

TEST_CASE("the payload is where it was, not a copy") {
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload("payload");
  const std::string bytes = whole.SerializeAsString();
  v1::PushRequest header;
  const auto payload = ParsePayloadMessage(Whole(bytes), header);
  REQUIRE_OK(payload);
  REQUIRE(payload->pieces().size() == 1);
  const auto* end =
      reinterpret_cast<const uint8_t*>(bytes.data() + bytes.size());
  REQUIRE(payload->pieces()[0].data() == end - 7);
}

TEST_CASE("the payload may come first, or not at all") {
  v1::PushRequest only_payload;
  only_payload.set_payload("abc");
  const std::string first =
      only_payload.SerializeAsString() + ExampleHeader().SerializeAsString();
  v1::PushRequest header;
  const auto payload = ParsePayloadMessage(Whole(first), header);
  REQUIRE_OK(payload);
  REQUIRE(Text(*payload) == "abc");
  REQUIRE(header.block() == 300);

  const std::string none = ExampleHeader().SerializeAsString();
  const auto empty = ParsePayloadMessage(Whole(none), header);
  REQUIRE_OK(empty);
  REQUIRE(empty->size() == 0);
}

TEST_CASE("unknown fields are stepped over") {
  // Field 100, of each wire type.
  const std::string bytes = ExampleHeader().SerializeAsString() +
                            std::string(
                                "\xa0\x06\x05"              // varint
                                "\xa2\x06\x02hi"            // length 2
                                "\xa5\x06\x01\x02\x03\x04"  // fixed32
                                "\x7a\x03"
                                "abc");
  v1::PushRequest header;
  const auto payload = ParsePayloadMessage(Whole(bytes), header);
  REQUIRE_OK(payload);
  REQUIRE(Text(*payload) == "abc");
}

TEST_CASE("broken messages are refused in words") {
  v1::PushRequest header;
  const std::string ok = ExampleHeader().SerializeAsString();
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x7a\x03"
                                               "abc\x7a\x01"
                                               "d"),
                                    header),
                kInvalid, "two payloads");
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x7a\x04"
                                               "abc"),
                                    header),
                kInvalid, "payload is 4 bytes long where only 3 follow");
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x7a"), header), kInvalid,
                "payload length");
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + std::string("\0", 1)), header),
                kInvalid, "tag");
  // Wire types 3, 4 (groups), 6 and 7 are never valid here.
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x0b"), header), kInvalid,
                "broken");
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x0f"), header), kInvalid,
                "broken");
  // Invalid UTF-8 or a wrong wire type for a known field is the parser's say; a
  // field cut short is ours.
  REQUIRE_ERROR(ParsePayloadMessage(Whole(ok + "\x09\x01"), header), kInvalid,
                "broken or cut");
  REQUIRE_ERROR(
      ParsePayloadMessage(
          Whole(ok + "\xa2\x06\xff\xff\x01" + std::string(32767, 'x')), header),
      kInvalid, "broken");
}

TEST_CASE("tags and lengths of the payload may be as long as parsers allow") {
  const std::string ok = ExampleHeader().SerializeAsString();
  v1::PushRequest header;
  for (const std::string& drawn_out :
       {std::string("\xfa\x80\x80\x80\x00\x03", 6),
        std::string("\x7a\x83\x80\x80\x80\x00", 6)}) {
    const std::string bytes = ok + drawn_out + "abc";
    v1::PushRequest whole;
    REQUIRE(whole.ParseFromString(bytes));
    const auto payload = ParsePayloadMessage(Whole(bytes), header);
    REQUIRE_OK(payload);
    REQUIRE(Text(*payload) == "abc");
  }
  for (const std::string& too_long :
       {std::string("\xfa\x80\x80\x80\x80\x00\x03", 7),
        std::string("\x7a\x83\x80\x80\x80\x80\x00", 7),
        // 2^32 + 3, of which some would see 3.
        std::string("\x7a\x83\x80\x80\x80\x10", 6)}) {
    const std::string bytes = ok + too_long + "abc";
    v1::PushRequest whole;
    REQUIRE_FALSE(whole.ParseFromString(bytes));
    REQUIRE_ERROR(ParsePayloadMessage(Whole(bytes), header), kInvalid,
                  "payload");
  }
}

TEST_CASE("a header that never ends is refused before it is kept") {
  std::string bytes;
  while (bytes.size() < 2 * kMaxHeaderBytes) bytes += "\xa0\x06\x05";
  v1::PushRequest header;
  REQUIRE_ERROR(ParsePayloadMessage(Whole(bytes), header), kInvalid,
                "header is too long");
}

TEST_CASE("random bytes never do harm") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload("sixteen bytes...");
  const std::string good = whole.SerializeAsString();
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    v1::PushRequest header;
    const auto payload = ParsePayloadMessage(Whole(bytes), header);
    if (payload.ok()) REQUIRE(payload->size() <= bytes.size());
  }
}

}  // namespace
}  // namespace tessera
