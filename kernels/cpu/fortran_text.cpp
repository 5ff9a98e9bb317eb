// The one function of gfortran's runtime that the LAPACK inside libopenblas.a calls: it joins the characters of SIDE and TRANS to look up block
// sizes. With it here, libpanther_kernels needs no libgfortran. The contract is gfortran's: dest = s1 // s2, cut or padded with blanks.
#include <algorithm>
#include <cstddef>
#include <cstring>

extern "C" void _gfortran_concat_string(std::size_t dest_length, char* dest, std::size_t length1, const char* s1, std::size_t length2, const char* s2);

void _gfortran_concat_string(std::size_t dest_length, char* dest, std::size_t length1, const char* s1, std::size_t length2, const char* s2) {
  const std::size_t first = std::min(length1, dest_length), second = std::min(length2, dest_length - first);
  std::memcpy(dest, s1, first);
  std::memcpy(dest + first, s2, second);
  std::memset(dest + first + second, ' ', dest_length - first - second);
}
