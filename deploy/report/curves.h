// Loss and accuracy over a run, as a picture that any browser opens.

#ifndef TESSERA_DEPLOY_REPORT_CURVES_H_
#define TESSERA_DEPLOY_REPORT_CURVES_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

namespace tessera {

struct CurvePoint {
  double step = 0;
  double value = 0;
};

struct Curves {
  std::string title;
  std::vector<CurvePoint> train_loss;     // Of each step.
  std::vector<CurvePoint> test_loss;      // Of each evaluation.
  std::vector<CurvePoint> test_accuracy;  // In [0, 1]; empty for regression.
};

// An SVG document: loss above, accuracy below (if any), over steps. Train loss
// is drawn as means over equal pieces of the run when there are many steps.
// Light or dark as the reader's system is. Pure.
std::string DrawCurves(const Curves& curves);

// Ticks that a person would choose: multiples of 1, 2 or 5 times a power of ten
// within [low, high], about `count` of them. Needs low < high, by at least
// a billionth of the larger. Pure.
std::vector<double> NiceTicks(double low, double high, int count);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_REPORT_CURVES_H_
