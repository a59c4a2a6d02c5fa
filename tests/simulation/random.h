// Chance, by seed: the same numbers on every machine.

#ifndef TESSERA_TESTS_SIMULATION_RANDOM_H_
#define TESSERA_TESTS_SIMULATION_RANDOM_H_

#include <cmath>
#include <cstdint>

namespace tessera {

// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014): a good mix of 64 bits.
inline uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// SplitMix64. Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed + 1)) {}

  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }

  // In [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return low +
           static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }

  // In [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  bool Chance(double probability) { return Unit() < probability; }

  // In [low, high), evenly on a logarithmic scale.
  double LogBetween(double low, double high) {
    return low * std::pow(high / low, Unit());
  }

 private:
  uint64_t state_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RANDOM_H_
