#include "worker/client/call_queue.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

namespace tessera {
namespace {

// Calls that are never sent anywhere; each has its number as its block.
class Fixture {
 public:
  std::shared_ptr<BlockCall> MakeCall() {
    return std::make_shared<BlockCall>(BlockCall::Request(), server, callbacks,
                                       live);
  }

  // Adds a call and returns its id.
  uint64_t Add() {
    const auto call = MakeCall();
    queue.Add(call);
    return call->id();
  }

  // The ids of all calls that are to be sent, sending them.
  std::vector<uint64_t> SendAll() {
    std::vector<uint64_t> ids;
    while (queue.HasNext()) ids.push_back(queue.Next()->id());
    return ids;
  }

  ServerIdentity server;
  CallbackQueue callbacks;
  LiveCount live;
  CallQueue queue;
};

using Ids = std::vector<uint64_t>;

TEST_CASE("calls leave in the order in which they were made") {
  Fixture f;
  REQUIRE_FALSE(f.queue.HasNext());
  REQUIRE(f.queue.Next() == nullptr);
  const Ids ids = {f.Add(), f.Add(), f.Add()};
  REQUIRE(f.SendAll() == ids);
  REQUIRE(f.queue.size() == 3);
  REQUIRE_FALSE(f.queue.HasNext());
}

TEST_CASE("what has ended is not sent, and ends once") {
  Fixture f;
  const Ids ids = {f.Add(), f.Add(), f.Add()};
  REQUIRE(f.queue.Take(ids[1])->id() == ids[1]);
  REQUIRE(f.queue.Take(ids[1]) == nullptr);
  REQUIRE_FALSE(f.queue.Repeat(ids[1]));
  REQUIRE(f.queue.Take(0) == nullptr);
  REQUIRE(f.queue.Take(~uint64_t{0}) == nullptr);
  REQUIRE(f.SendAll() == Ids{ids[0], ids[2]});
}

TEST_CASE("the id of a call that has ended is nobody else's") {
  Fixture f;
  const uint64_t first = f.Add();
  REQUIRE(f.queue.Take(first) != nullptr);
  const uint64_t second = f.Add();
  REQUIRE(second != first);
  REQUIRE(f.queue.Take(first) == nullptr);
  REQUIRE(f.queue.size() == 1);
}

TEST_CASE("a call is repeated after those that wait, a stream's in order") {
  Fixture f;
  Ids ids = {f.Add(), f.Add(), f.Add()};
  REQUIRE(f.queue.Next()->id() == ids[0]);
  REQUIRE(f.queue.Repeat(ids[0]));
  REQUIRE(f.SendAll() == Ids{ids[1], ids[2], ids[0]});
  // Its slot is used again by the last call made.
  REQUIRE(f.queue.Take(ids[0]) != nullptr);
  ids = {ids[1], ids[2], f.Add()};
  REQUIRE(f.queue.RepeatAll() == 3);
  REQUIRE(f.SendAll() == ids);
  const auto taken = f.queue.TakeAll();
  REQUIRE(taken.size() == 3);
  for (size_t i = 0; i < ids.size(); ++i) REQUIRE(taken[i]->id() == ids[i]);
  REQUIRE(f.queue.size() == 0);
  REQUIRE_FALSE(f.queue.HasNext());
}

}  // namespace
}  // namespace tessera
