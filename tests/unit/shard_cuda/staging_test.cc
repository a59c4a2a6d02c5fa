#include "server/shard/cuda/staging.h"

#include <algorithm>
#include <random>
#include <vector>

#include "tests/unit/shard_cuda/stand_in_gpu.h"

namespace tessera {
namespace {

constexpr size_t kPiece = Staging::kPieceBytes;

std::vector<uint8_t> RandomBytes(size_t bytes, std::mt19937_64& random) {
  std::vector<uint8_t> made(bytes);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random());
  return made;
}

TEST_CASE("a payload of any size arrives, wherever it is cut") {
  const size_t bytes = GENERATE(size_t{0}, size_t{1}, kPiece - 1, kPiece,
                                kPiece + 1, 3 * kPiece - 5, 3 * kPiece,
                                (2 * Staging::kPieces + 1) * kPiece + 7);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(bytes, seed);
  std::mt19937_64 random(seed);
  const auto device = MakeStandInGpu();
  auto staging = Staging::Create(*device, std::max(bytes, 3 * kPiece));
  REQUIRE_OK(staging);
  const std::unique_ptr<Stream> stream = *device->CreateStream();
  // Twice: room is used again.
  for (int round = 0; round < 2; ++round) {
    std::vector<uint8_t> bytes_sent = RandomBytes(bytes, random);
    const std::vector<uint8_t> expected = bytes_sent;
    FragmentedBytes payload;
    for (size_t begin = 0; begin < bytes;) {
      const size_t end = std::min<size_t>(
          bytes, begin + 1 + random() % (random() % 3 == 0 ? 9 : 2 * kPiece));
      payload.Append({bytes_sent.data() + begin, end - begin});
      begin = end;
    }
    REQUIRE_OK(staging->Send(payload, *stream));
    // The payload may go at once.
    std::fill(bytes_sent.begin(), bytes_sent.end(), uint8_t{0});
    std::vector<uint8_t> arrived(bytes);
    REQUIRE_OK(stream->Copy(arrived.data(), staging->device_data(), bytes));
    REQUIRE_OK(stream->Synchronize());
    REQUIRE(arrived == expected);
  }
}

TEST_CASE("a piece travels while the next is filled") {
  const auto device = MakeStandInGpu();
  auto staging = Staging::Create(*device, 4 * Staging::kPieceBytes);
  REQUIRE_OK(staging);
  const std::unique_ptr<Stream> stream = *device->CreateStream();
  const std::vector<uint8_t> bytes(4 * Staging::kPieceBytes);
  const int before = fake_cuda::CallCount(fake_cuda::Call::kCopy);
  REQUIRE_OK(staging->Send(FragmentedBytes(bytes), *stream));
  REQUIRE(fake_cuda::CallCount(fake_cuda::Call::kCopy) == before + 4);
}

TEST_CASE("pinned memory is bounded, however long payloads are") {
  const auto device = MakeStandInGpu();
  constexpr size_t kBytes = 20 * kPiece;
  auto staging = Staging::Create(*device, kBytes);
  REQUIRE_OK(staging);
  const auto stream = *device->CreateStream();
  std::mt19937_64 random(5);
  const std::vector<uint8_t> bytes = RandomBytes(kBytes, random);
  // Each piece is asked about before it is filled.
  const int before = fake_cuda::CallCount(fake_cuda::Call::kWait);
  REQUIRE_OK(staging->Send(FragmentedBytes(bytes), *stream));
  REQUIRE(fake_cuda::CallCount(fake_cuda::Call::kWait) == before + 20);
  std::vector<uint8_t> arrived(kBytes);
  REQUIRE_OK(stream->Copy(arrived.data(), staging->device_data(), kBytes));
  REQUIRE(arrived == bytes);
}

TEST_CASE("a piece that cannot leave is an error, and so is one that is lost") {
  const auto device = MakeStandInGpu();
  const std::vector<uint8_t> bytes(6 * kPiece);
  auto staging = Staging::Create(*device, bytes.size());
  REQUIRE_OK(staging);
  const auto stream = *device->CreateStream();
  fake_cuda::FailCall(fake_cuda::Call::kCopy, 5, cudaErrorUnknown);
  REQUIRE_ERROR(staging->Send(FragmentedBytes(bytes), *stream),
                absl::StatusCode::kInternal, "copy");
  fake_cuda::LoseAfter(3);
  REQUIRE_ERROR(staging->Send(FragmentedBytes(bytes), *stream),
                absl::StatusCode::kUnavailable, "lost");
}

TEST_CASE("room that cannot be had is RESOURCE_EXHAUSTED") {
  const auto device = MakeStandInGpu();
  fake_cuda::SetDeviceMemory(999);
  REQUIRE_ERROR(Staging::Create(*device, 1000),
                absl::StatusCode::kResourceExhausted, "1000 bytes");
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
}

}  // namespace
}  // namespace tessera
