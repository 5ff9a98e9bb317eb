#pragma once
// What the sums over a block say about its coding: the decisions of quantize, for every device.
#include <cmath>
#include <cstdint>

#include "kernels/element/quantize.h"
#include "kernels/pack/alarm.h"

namespace panther {

/// level = round(v normaliser inverse_step), decoded as scale * level.
struct Coding {
  float normaliser = 1;
  float inverse_step = 0;
  float scale = 0;
};

/// <v, level> and <level, level> for one step, v normalised.
struct Fit {
  float cross = 0;
  float levels = 0;
  PANTHER_HOST_DEVICE float scale() const { return levels > 0 ? cross / levels : 0; }
  PANTHER_HOST_DEVICE float explained() const { return levels > 0 ? cross * cross / levels : 0; }
};

/// A block with nan or inf.
PANTHER_HOST_DEVICE inline Coding nonfinite_coding() { return {1, 0, float_of(kQuietNanBits)}; }

/// `step` and `scale` are of normalised values; the product of the scale and the largest level stays finite.
PANTHER_HOST_DEVICE inline Coding scaled_coding(float normaliser, float limit, float step, float scale) {
  constexpr float kLargest = 3.402823e38f;  // a little below the largest float: a product rounded up stays finite
  const float back = 1.0f / normaliser, most = kLargest / limit;
  return {normaliser, 1.0f / step, scale * back < most ? scale * back : most};
}

/// The step that is best for a normal distribution of this sum of squares.
PANTHER_HOST_DEVICE inline float normal_step(int bits, float sum_of_squares, std::int64_t count) {
  return quantize_normal_step(bits) * std::sqrt(sum_of_squares / static_cast<float>(count));
}

/// Of the step that clips nothing and the one for a normal distribution, the one that leaves less.
PANTHER_HOST_DEVICE inline Coding better_coding(float normaliser, float limit, float no_clip, const Fit& whole, float normal, const Fit& clipped) {
  return normal < no_clip && clipped.explained() > whole.explained() ? scaled_coding(normaliser, limit, normal, clipped.scale())
                                                                     : scaled_coding(normaliser, limit, no_clip, whole.scale());
}

}  // namespace panther
