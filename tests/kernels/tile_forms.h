#pragma once
// The forms of tile_gemm.h's product that this processor has, for tests that run with each of them.
#include <string>
#include <vector>

#include "kernels/cpu/tile_kernels.h"

namespace panther::test {

inline std::vector<const cpu::TileKernels*> tile_forms() {
  std::vector<const cpu::TileKernels*> result;
  for (const cpu::TileKernels* form : {cpu::tile_kernels_avx2(), cpu::tile_kernels_avx512()}) {
    if (form != nullptr) result.push_back(form);
  }
  return result;
}

/// Everything takes one form while this lives.
class WithTileForm {
 public:
  explicit WithTileForm(const cpu::TileKernels* form) { cpu::force_tile_kernels(form); }
  ~WithTileForm() { cpu::force_tile_kernels(nullptr); }
  WithTileForm(const WithTileForm&) = delete;
  WithTileForm& operator=(const WithTileForm&) = delete;
};

}  // namespace panther::test
