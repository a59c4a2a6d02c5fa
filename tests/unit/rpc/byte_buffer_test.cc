#include "common/rpc/byte_buffer.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/payload_message.h"
#include "tessera/v1/parameter.pb.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

FragmentedBytes::Piece PieceOf(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()),
          values.size() * sizeof(float)};
}

v1::PushRequest ExampleHeader() {
  v1::PushRequest header;
  header.set_block(300);
  header.set_encoding(v1::ENCODING_FLOAT32);
  return header;
}

std::string Text(const FragmentedBytes& bytes) {
  std::string text(bytes.size(), '\0');
  bytes.CopyTo(text.data());
  return text;
}

TEST_CASE("a sent payload is the caller's memory until it is let go") {
  const std::vector<float> values(1000, 0.5F);
  int released = 0;
  {
    grpc::ByteBuffer message = MakePayloadMessage(
        ExampleHeader(), PieceOf(values), [&released] { ++released; });
    std::vector<grpc::Slice> slices;
    REQUIRE(message.Dump(&slices).ok());
    REQUIRE(slices.size() == 2);
    REQUIRE(slices[1].begin() == PieceOf(values).data());
    REQUIRE(slices[1].size() == 4000);
    message.Clear();
    REQUIRE(released == 0);
  }
  REQUIRE(released == 1);
}

TEST_CASE("a payload however short is not copied either") {
  const std::vector<float> values = {1};
  grpc::ByteBuffer message =
      MakePayloadMessage(ExampleHeader(), PieceOf(values), [] {});
  std::vector<grpc::Slice> slices;
  REQUIRE(message.Dump(&slices).ok());
  REQUIRE(slices.back().begin() == PieceOf(values).data());
}

TEST_CASE("an owner lives as long as the message") {
  auto owner = std::make_shared<std::vector<float>>(100, 1.0F);
  const std::weak_ptr<std::vector<float>> watched = owner;
  const FragmentedBytes::Piece payload = PieceOf(*owner);
  grpc::ByteBuffer message =
      MakePayloadMessage(ExampleHeader(), payload, std::move(owner));
  grpc::ByteBuffer other = message;
  message.Clear();
  REQUIRE_FALSE(watched.expired());
  other.Clear();
  REQUIRE(watched.expired());
}

TEST_CASE("what is sent is the message that any client would send") {
  const std::vector<float> values = {1, 2, 3};
  grpc::ByteBuffer buffer =
      MakePayloadMessage(ExampleHeader(), PieceOf(values), [] {});
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload(Text(FragmentedBytes(PieceOf(values))));
  REQUIRE(Text(ReceivedMessage(buffer).bytes()) == whole.SerializeAsString());
}

TEST_CASE("a received payload is used where it lies, wherever it was cut") {
  v1::PushRequest whole = ExampleHeader();
  whole.set_payload(std::string(40, 'p') + std::string(40, 'q'));
  const std::string bytes = whole.SerializeAsString();
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (const size_t second : {first, (first + bytes.size()) / 2}) {
      // Short slices lie inside the slice object, long ones elsewhere.
      const grpc::Slice slices[] = {
          grpc::Slice(bytes.substr(0, first)),
          grpc::Slice(bytes.substr(first, second - first)),
          grpc::Slice(bytes.substr(second))};
      grpc::ByteBuffer buffer(slices, 3);
      ReceivedMessage received(buffer);
      REQUIRE_FALSE(buffer.Valid());
      const ReceivedMessage message = std::move(received);
      v1::PushRequest header;
      const auto payload = ParsePayloadMessage(message.bytes(), header);
      REQUIRE_OK(payload);
      REQUIRE(Text(*payload) == whole.payload());
      REQUIRE(header.block() == 300);
    }
  }
}

TEST_CASE("a received long slice is not copied") {
  const std::string bytes(5000, 'x');
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer buffer(&slice, 1);
  const ReceivedMessage message(buffer);
  REQUIRE(message.bytes().pieces().size() == 1);
  REQUIRE(message.bytes().pieces()[0].data() == slice.begin());
}

TEST_CASE("an empty buffer is an empty message") {
  grpc::ByteBuffer buffer;
  REQUIRE(ReceivedMessage(buffer).bytes().size() == 0);
}

}  // namespace
}  // namespace tessera
