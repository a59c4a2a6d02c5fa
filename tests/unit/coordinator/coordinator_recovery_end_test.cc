// Going back, around the end of a job.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/recovering.h"

namespace tessera {
namespace {

TEST_CASE("a job can be stopped while its servers are awaited or load") {
  const bool early = GENERATE(true, false);
  Recovering f({Point(15, 7)});
  const WorkerId a = f.Join();
  if (early) f.coordinator->RequestStop(f.now);
  f.Say(0);
  f.Say(1);
  if (!early) f.coordinator->RequestStop(f.now);
  REQUIRE_FALSE(f.coordinator->ended());
  f.ObeyAll();
  REQUIRE(f.Ask(a) == "evaluation of 15, chunks [0, 1)");
  f.ReportAll(a, 15, 1);
  REQUIRE(f.Ask(a) == "end STOPPED");
}

TEST_CASE("without workers a stop ends it wherever it starts") {
  Recovering f({Point(15, 7)});
  f.coordinator->RequestStop(f.now);
  REQUIRE(f.coordinator->ended());
  f.ObeyAll();
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.coordinator->steps_done() == 15);
}

TEST_CASE_METHOD(Recovering, "a stop outlives going back") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 5);
  REQUIRE(Status().workers(0).holds() == "step 5 [0, 2)");
  coordinator->RequestStop(now);
  Replace(1);
  ObeyAll();
  REQUIRE(Status().steps_total() == 6);
  TrainTo(a, 6);
  REQUIRE(AskAnew(a, 6) == "evaluation of 6, chunks [0, 1)");
  ReportAll(a, 6, 1);
  REQUIRE(Ask(a, At(6)) == "end STOPPED");
}

TEST_CASE_METHOD(Recovering,
                 "a job that has ended goes on if it lost its end") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  REQUIRE(coordinator->ended());
  Replace(1);
  Say(1);
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE(Status().phase() == v1::PHASE_RECOVERING);
  ObeyAll();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  REQUIRE(Ask(a, At(40)) == "end STEPS");
}

TEST_CASE_METHOD(Recovering, "and stays ended if a set holds it") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  Obey(0);
  Obey(1);
  REQUIRE(Write().version() == 40);
  Replace(1);
  REQUIRE(Orders(1) == "generation 2, version 40 of set 1000");
  ObeyAll();
  REQUIRE(coordinator->generation() == 2);
  REQUIRE(Ask(a, At(40)) == "end STEPS");
  REQUIRE(Status().evaluations().size() == 4);
  REQUIRE(Capture() == "none");
}

}  // namespace
}  // namespace tessera
