#include "kernels/linear/grouped_linear.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/kernels/sketched_layer.h"

namespace panther {
namespace {

using test::Array;
using test::SketchedLayer;

/// n layers of different widths that share U2, and the same as one group.
struct Group {
  std::vector<SketchedLayer> layers;
  Array pt;
  std::vector<TensorView> q, u1_bits;
  std::vector<double> alpha;
  std::vector<SignKey> u1;

  Group(DType dtype, std::int64_t d, const std::vector<std::int64_t>& outputs, std::int64_t r) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      layers.emplace_back(dtype, d, outputs[i], r, 10 + i);
      SketchedLayer& layer = layers.back();
      layer.u2 = layers.front().u2;
      layer.u2_bits = layers.front().u2_bits;
      layer.alpha = 0.3 + 0.1 * static_cast<double>(i);
      for (std::int64_t v = 0; v < r; ++v) {
        for (std::int64_t c = 0; c < d; ++c) layer.pt.set(r + v, c, layers.front().pt.at(r + v, c));
      }
    }
    const auto n = static_cast<std::int64_t>(layers.size());
    pt = test::make_matrix(dtype, (n + 1) * r, d);
    for (std::int64_t row = 0; row < (n + 1) * r; ++row) {
      const SketchedLayer& from = layers[static_cast<std::size_t>(std::min(row / r, n - 1))];
      for (std::int64_t c = 0; c < d; ++c) pt.set(row, c, from.pt.at(row < n * r ? row % r : r + row % r, c));
    }
    for (const SketchedLayer& layer : layers) alpha.push_back(layer.alpha), u1.push_back(layer.u1), u1_bits.push_back(layer.u1_bits.view);
  }

  GroupedWeights weights(SignStorage storage) {
    q.clear();
    for (const SketchedLayer& layer : layers) q.push_back(storage == SignStorage::expanded ? layer.q.view : layer.q.view.slice(layer.size, layer.size));
    const std::int64_t rows = pt.view.shape[0] - (storage == SignStorage::expanded ? 0 : layers.front().size);
    return {pt.view.slice(0, rows), q, alpha, storage, layers.front().u2_bits.view, u1_bits, layers.front().u2, u1};
  }
};

LinearChoice chain(bool own) {
  LinearChoice choice;
  choice.own = {own, own, own, own};
  return choice;
}

std::vector<TensorView> views_of(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  for (const Array& array : arrays) views.push_back(array.view);
  return views;
}

void check_group(DType dtype, const std::vector<std::int64_t>& outputs, SignStorage storage, bool own) {
  constexpr std::int64_t rows = 21, inputs = 150, size = 7;
  Group group(dtype, inputs, outputs, size);
  const auto n = static_cast<std::int64_t>(outputs.size());
  const GroupedWeights weights = group.weights(storage);
  std::vector<std::byte> workspace(grouped_linear_workspace_bytes(weights, own) + 65536);
  const LinearLaunch launch{cpu_kernels(), workspace, {}};
  const Array x = test::random_matrix(dtype, rows, inputs, 1);
  Array h = test::make_matrix(dtype, rows, (n + 1) * size), dh = h, dx = test::make_matrix(dtype, rows, inputs);
  std::vector<Array> y, dz, ds1, ds2, bias;
  std::vector<LinearEpilogue> epilogues;
  for (const std::int64_t width : outputs) {
    y.push_back(test::make_matrix(dtype, rows, width));
    dz.push_back(test::random_matrix(dtype, rows, width, 2 + y.size()));
    bias.push_back(test::random_vector(dtype, width, 3));
    ds1.push_back(test::random_matrix(dtype, size, inputs, 4));
    ds2.push_back(test::random_matrix(dtype, size, width, 5));
    epilogues.push_back({bias.back().view, y.size() == 2 ? Activation::gelu : Activation::none, {}});
  }
  for (std::size_t i = 0; i < bias.size(); ++i) epilogues[i].bias_O = bias[i].view;
  const std::vector<Array> buckets1 = ds1, buckets2 = ds2;
  const auto y_views = views_of(y), dz_views = views_of(dz), ds1_views = views_of(ds1), ds2_views = views_of(ds2);
  grouped_linear_forward(launch, weights, {x.view, h.view, y_views, epilogues}, own);
  const TensorView h2 = h.view.transposed().slice(n * size, size).transposed();
  grouped_linear_backward(launch, weights, {x.view, h2, dz_views, dh.view}, {dx.view, ds1_views, ds2_views, 1.0}, own);

  Array dx_sum = test::make_matrix(DType::f64, rows, inputs);
  double dx_scale = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const SketchedLinearWeights separate = group.layers[i].weights(storage);
    Array h_one = test::make_matrix(dtype, rows, 2 * size), dh_one = h_one, y_one = test::make_matrix(dtype, rows, outputs[i]);
    Array dx_one = test::make_matrix(dtype, rows, inputs), ds1_one = buckets1[i], ds2_one = buckets2[i];
    sketched_linear_forward(launch, separate, {x.view, h_one.view, y_one.view, epilogues[i]}, chain(own));
    const TensorView h2_one = h_one.view.transposed().slice(size, size).transposed();
    sketched_linear_backward(launch, separate, {x.view, h2_one, dz[i].view, dh_one.view}, {dx_one.view, ds1_one.view, ds2_one.view, 1.0}, chain(own));
    const double t = dtype == DType::f64 ? 1e-13 : 3e-6;
    if (own) {
      EXPECT_EQ(y[i].bytes, y_one.bytes);
      EXPECT_EQ(ds1[i].bytes, ds1_one.bytes);
      EXPECT_EQ(ds2[i].bytes, ds2_one.bytes);
    }
    EXPECT_LE(distance(y[i], y_one, norm(y_one)), t);
    EXPECT_LE(distance(ds1[i], ds1_one, norm(ds1_one)), t);
    EXPECT_LE(distance(ds2[i], ds2_one, norm(ds2_one)), t);
    dx_scale += norm(dx_one);
    for (std::int64_t b = 0; b < rows; ++b) {
      for (std::int64_t c = 0; c < inputs; ++c) dx_sum.set(b, c, dx_sum.at(b, c) + dx_one.at(b, c));
    }
  }
  EXPECT_LE(distance(dx, dx_sum, dx_scale), dtype == DType::f64 ? 1e-13 : 3e-6);
}

TEST(GroupedLinear, EqualsTheSeparateLayersThatShareU2) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const bool own : {true, false}) {
      for (const SignStorage storage : test::kStorages) {
        check_group(dtype, {130, 40, 40}, storage, own);
        check_group(dtype, {96, 96}, storage, own);
        check_group(dtype, {1}, storage, own);
      }
    }
  }
}

TEST(GroupedLinear, RefusesWhatDoesNotFit) {
  Group group(DType::f32, 12, {8, 9}, 2);
  GroupedWeights weights = group.weights(SignStorage::expanded);
  const Array x = test::random_matrix(DType::f32, 3, 12, 1);
  Array h = test::make_matrix(DType::f32, 3, 6), y = test::make_matrix(DType::f32, 3, 8);
  const std::vector<TensorView> one{y.view};
  EXPECT_THROW(grouped_linear_forward({cpu_kernels(), {}, {}}, weights, {x.view, h.view, one, {}}, true), Error);
  weights.alpha = weights.alpha.subspan(1);
  EXPECT_THROW(grouped_linear_forward({cpu_kernels(), {}, {}}, weights, {x.view, h.view, one, {}}, true), Error);
}

}  // namespace
}  // namespace panther
