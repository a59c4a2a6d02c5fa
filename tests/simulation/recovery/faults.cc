#include "tests/simulation/recovery/faults.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

}  // namespace

Faults::Faults(Cluster& cluster, Population& population)
    : cluster_(cluster),
      population_(population),
      mean_gap_us_(random().LogBetween(0.03 * kSecondUs, 2 * kSecondUs)) {}

void Faults::Begin(int64_t until_us) {
  until_us_ = until_us;
  const bool lossy = random().Chance(0.5);
  cluster_.wire.SetConditions(
      {.delay_us_max = static_cast<int64_t>(random().LogBetween(100, 2e4)),
       .loss = lossy ? random().LogBetween(0.001, 0.1) : 0,
       .doubled = lossy ? 0.05 : 0,
       .late = random().Chance(0.5) ? random().LogBetween(0.0005, 0.02) : 0});
  cluster_.disk_pause_chance =
      random().Chance(0.7) ? random().LogBetween(0.01, 0.5) : 0;
  Soon();
  cluster_.queue.After(until_us, [this] { Cease(); });
}

void Faults::Soon() {
  const auto gap = static_cast<int64_t>(mean_gap_us_ * 2 * random().Unit()) + 1;
  if (cluster_.queue.now_us() + gap >= until_us_) return;
  cluster_.queue.After(gap, [this] {
    One();
    Soon();
  });
}

void Faults::One() {
  switch (random().Between(0, 13)) {
    case 0:
    case 1:
    case 2:
      return KillServer();
    case 3:
      return ReplaceServer();
    case 4:
    case 5:
      return KillWorker();
    case 6:
      return Stall();
    case 7:
      return Cut();
    case 8:
      return FailDisk();
    case 9:
      return FillDisk();
    case 10:
      return CrashMachine();
    case 11:
      return DamageSet();
    case 12:
      // Else hardly any job gets far.
      return random().Chance(0.5) ? KillEverybody() : KillServer();
    default:
      return JumpClock();
  }
}

int Faults::AnyShard() {
  return static_cast<int>(random().Next() %
                          static_cast<uint64_t>(population_.shards()));
}

Place Faults::AnyPlace() {
  const int shards = population_.shards();
  const auto i =
      static_cast<int>(random().Next() %
                       (static_cast<uint64_t>(shards) + population_.workers()));
  return i < shards ? i : kFirstWorker + i - shards;
}

void Faults::KillServer() {
  const int shard = AnyShard();
  if (random().Chance(0.5)) {
    counts_["server killed"] += population_.KillServer(shard) ? 1 : 0;
    return;
  }
  counts_["server killed while it uses the disk"] +=
      population_.KillServerAtDiskOperation(shard, random().Between(1, 40)) ? 1
                                                                            : 0;
}

void Faults::ReplaceServer() {
  counts_["server replaced while it stalls"] +=
      population_.ReplaceServer(AnyShard(),
                                random().Between(1000, 3 * kSecondUs))
          ? 1
          : 0;
}

void Faults::KillWorker() {
  counts_["worker killed"] +=
      population_.KillWorker(random().Next() % population_.workers()) ? 1 : 0;
}

void Faults::KillEverybody() {
  ++counts_["everybody killed at once"];
  population_.KillEverybody();
}

void Faults::Stall() {
  counts_["process stalled"] +=
      population_.StallSomeone(random().Between(1000, 3 * kSecondUs)) ? 1 : 0;
}

void Faults::Cut() {
  const Place a = AnyPlace();
  const Place b = AnyShard();
  if (a == b) return;
  // Which of the two is not heard.
  const bool is_first = random().Chance(0.5);
  const Place from = is_first ? a : b;
  const Place to = is_first ? b : a;
  cluster_.Note(-1, "cut", from, to);
  cluster_.wire.Cut(from, to);
  if (random().Chance(0.5)) {
    cluster_.wire.Cut(to, from);
    ++counts_["network cut"];
  } else {
    ++counts_["network cut in one direction"];
  }
  cluster_.queue.After(random().Between(1000, 2 * kSecondUs),
                       [this] { cluster_.wire.Heal(); });
}

void Faults::FailDisk() {
  ++counts_["disk operation failed"];
  cluster_.disk.FailNth(std::nullopt, random().Between(1, 30),
                        absl::UnknownError("I/O error"));
}

void Faults::FillDisk() {
  ++counts_["disk full"];
  cluster_.disk.set_capacity_bytes(random().Between(0, 4000));
  cluster_.queue.After(random().Between(1000, kSecondUs), [this] {
    cluster_.disk.set_capacity_bytes(std::numeric_limits<int64_t>::max());
  });
}

void Faults::CrashMachine() {
  ++counts_["machine crashed"];
  cluster_.disk.CrashAtOperation(random().Between(1, 30));
}

// A byte of an acknowledged set changes, of any but the last: that one is
// looked for at the end.
void Faults::DamageSet() {
  cluster_.CheckKeptSets();
  std::vector<SetName> sets;
  for (const SetName& set : cluster_.kept.sets()) {
    if (set.version != cluster_.reference.last_version()) sets.push_back(set);
  }
  if (sets.empty() || !cluster_.complaint.empty()) return;
  const SetName set = sets[random().Next() % sets.size()];
  const int shard =
      static_cast<int>(random().Between(-1, int64_t{population_.shards()} - 1));
  const std::string path = JoinPath(
      JoinPath(kCheckpointRoot, SetFolderName(set.version, set.set_id)),
      shard < 0 ? kManifestName : ShardFileName(shard, population_.shards()));
  std::string contents = cluster_.disk.Contents(path);
  char& byte = contents[random().Next() % contents.size()];
  byte = static_cast<char>(byte ^ (1 << random().Between(0, 7)));
  cluster_.disk.SetContents(path, std::move(contents));
  cluster_.kept.Damage(set);
  cluster_.Note(-1, "damages the set of version", set.version, shard);
  ++counts_["checkpoint damaged"];
}

void Faults::JumpClock() {
  const int64_t ms = random().Between(-5000, 5000);
  ++counts_[ms < 0 ? "clock jumped back" : "clock jumped forward"];
  cluster_.clock_offset += absl::Milliseconds(ms);
}

void Faults::Cease() {
  cluster_.Note(-1, "faults cease");
  cluster_.wire.SetConditions({});
  cluster_.wire.Heal();
  cluster_.disk_pause_chance = 0;
  cluster_.disk.set_capacity_bytes(std::numeric_limits<int64_t>::max());
  // Those to come, too.
  cluster_.disk.CrashAtOperation(1);
  (void)cluster_.disk.List("/");
}

std::map<std::string, int64_t> Faults::Counts() const {
  std::map<std::string, int64_t> counts = counts_;
  const Wire::Counts& wire = cluster_.wire.counts();
  counts["message lost"] = wire.lost;
  counts["message doubled"] = wire.doubled;
  counts["message late by seconds"] = wire.late;
  counts["message cut off"] = wire.cut_off;
  return counts;
}

}  // namespace tessera
