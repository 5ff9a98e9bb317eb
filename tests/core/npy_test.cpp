// The .npy format: what is written reads back, headers as NumPy and older programs write them, and damage at every byte.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/atomic_file.h"
#include "core/file_format/matrix_file.h"
#include "core/file_format/npy.h"
#include "core/file_format/safetensors.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace panther {
namespace {

using test::expect_error;
using test::TempFolder;

std::string npy(const std::string& dict, std::size_t data_bytes, int version = 1) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(dict.size() >> (8 * i));
  return text + dict + std::string(data_bytes, 'd');
}

NpyHeader parse(const std::string& file) { return parse_npy_header(std::as_bytes(std::span(file)), "x.npy"); }

TEST(Npy, EveryDtypeAndOrderReadsBack) {
  const TempFolder folder;
  std::vector<std::byte> data(48);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37);
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::i64, DType::i32, DType::u8})
    for (const bool fortran : {false, true})
      for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{{2, 3}, {6}, {}, {0, 4}, {1, 1, 2, 3}}) {
        std::size_t bytes = size_of(dtype);
        for (const auto dim : shape) bytes *= static_cast<std::size_t>(dim);
        const auto path = folder / "x.npy";
        write_npy(path, dtype, shape, std::span(data).first(bytes), fortran);
        const NpyFile file(path);
        EXPECT_EQ(file.header().dtype, dtype);
        EXPECT_EQ(file.header().fortran_order, fortran);
        EXPECT_EQ(file.header().shape, shape);
        EXPECT_EQ(file.header().data_offset % 64, 0u);
        EXPECT_TRUE(std::equal(file.bytes().begin(), file.bytes().end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(bytes)));
      }
}

TEST(Npy, HeadersOfOtherWritersAreRead) {
  // Version 2 and 3, other order and quotes, Python 2's long integers, no padding, no trailing comma.
  EXPECT_EQ(parse(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }     \n", 48, 2)).shape,
            (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(parse(npy("{\"shape\":(4L,),\"descr\":\"|u1\",\"fortran_order\":True}", 4, 3)).dtype, DType::u8);
  EXPECT_TRUE(parse(npy("{'shape': (), 'fortran_order': True, 'descr': '<i4'}\n", 4)).fortran_order);
  EXPECT_EQ(parse(npy("{'descr': '=f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }", 0)).shape.size(), 2u);
}

TEST(Npy, WhatWeLackIsUnsupportedAndSaysWhatToDo) {
  const auto with = [](const std::string& descr) {
    return npy(concat("{'descr': ", descr, ", 'fortran_order': False, 'shape': (2,), }"), 16);
  };
  expect_error(ErrorCode::Unsupported, {"big-endian", "astype('<f8')"}, [&] { parse(with("'>f8'")); });
  expect_error(ErrorCode::Unsupported, {"'<c16'", "supported: f8"}, [&] { parse(with("'<c16'")); });
  expect_error(ErrorCode::Unsupported, {"'|O'", "astype"}, [&] { parse(with("'|O'")); });
  expect_error(ErrorCode::Unsupported, {"records"}, [&] { parse(with("[('a', '<f8')]")); });
  expect_error(ErrorCode::Unsupported, {"version 9.0"}, [&] { parse(npy("{}", 0, 9)); });
  expect_error(ErrorCode::Unsupported, {"bf16"}, [] { make_npy_header(DType::bf16, std::vector<std::int64_t>{2}, false); });
  expect_error(ErrorCode::InvalidArgument, {"not a .npy file", "numpy.save"}, [] { parse("PK\3\4 an npz archive"); });
  expect_error(ErrorCode::InvalidArgument, {"not a .npy file"}, [] { parse(""); });
}

TEST(Npy, BadHeadersAreCorruptAndSayWhere) {
  const auto refused = [](const std::string& dict, std::size_t bytes, const std::string& piece) {
    expect_error(ErrorCode::Corrupt, {piece, "x.npy"}, [&] { parse(npy(dict, bytes)); });
  };
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 15, "needs 16 bytes of data, the file has 15");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 17, "1 bytes follow its array");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 16, "63 bits");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }", 16, "beyond 63 bits");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (-2,), }", 16, "has no whole number");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2), }", 16, "not a tuple");
  refused("{'descr': '<f8', 'fortran_order': Maybe, 'shape': (2,), }", 16, "neither True nor False");
  refused("{'descr': '<f8', 'fortran_order': False, }", 16, "lacks descr");
  refused("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", 16, "second key 'descr'");
  refused("{'descr': 'zz', 'fortran_order': False, 'shape': (2,), }", 16, "none of NumPy's");
  refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), } x", 16, "goes on after its end");
  refused("", 0, "has no '{'");
  refused("{'descr", 0, "without an end");
}

/// A file of 2 x 2 f64 as we write it.
std::string small_file() { return make_npy_header(DType::f64, std::vector<std::int64_t>{2, 2}, false) + std::string(32, 'd'); }

TEST(Npy, EveryTruncationIsSeen) {
  const std::string whole = small_file();
  EXPECT_EQ(parse(whole).data_bytes(), 32u);
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
}

TEST(Npy, NoBitFlipOrRandomDamageOfTheHeaderCrashesOrReadsOutside) {
  const std::string whole = small_file();
  const auto survives = [](const std::string& bent) {
    try {
      const NpyHeader header = parse(bent);
      EXPECT_EQ(header.data_offset + header.data_bytes(), bent.size());
      return true;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::Unsupported ||
                  error.code() == ErrorCode::InvalidArgument);
      return false;
    }
  };
  int survived = 0;
  for (std::size_t bit = 0; bit < (whole.size() - 32) * 8; ++bit) {
    std::string bent = whole;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << (bit % 8)));
    survived += survives(bent) ? 1 : 0;
  }
  EXPECT_LT(survived, 64) << "flips that give another sound header: quotes, blanks for newlines, (2, 2) to (2, 0)";
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bent = whole;
    for (unsigned i = 1 + random() % 4; i > 0; --i) bent[10 + random() % (whole.size() - 42)] = "(){}',:0123456789fiTrue <>"[random() % 26];
    survives(bent);
  }
}

TEST(NpyWriter, PiecesMakeOneFileAndNothingIsLeftWithoutCommit) {
  const TempFolder folder;
  const std::vector<std::byte> piece(16, std::byte{1});
  {
    NpyWriter writer(folder / "x.npy", DType::f64, {2, 2});
    writer.append(piece);
    expect_error(ErrorCode::InvalidArgument, {"lacks 16 bytes"}, [&] { writer.commit(); });
    EXPECT_FALSE(std::filesystem::exists(folder / "x.npy"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  NpyWriter writer(folder / "x.npy", DType::f64, {2, 2});
  writer.append(piece);
  writer.append(piece);
  expect_error(ErrorCode::InvalidArgument, {"more than its shape"}, [&] { writer.append(piece); });
  writer.flush();
  EXPECT_FALSE(std::filesystem::exists(folder / "x.npy")) << "flushed, not yet published";
  writer.commit();
  EXPECT_EQ(NpyFile(folder / "x.npy").bytes().size(), 32u);
}

TEST(AtomicFile, AFullDiskIsSaidAndLeavesNothing) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  // /dev/full cannot be renamed over; DurableFile on it shows the error that a full disk gives.
  expect_error(ErrorCode::Io, {"/dev/full", "No space left", "free space"}, [] {
    DurableFile file("/dev/full");
    file.append("x");
  });
}

class MatrixFiles : public testing::Test {
 protected:
  /// Element (i, j) = 10 i + j, 3 x 4.
  void write(const std::string& name, bool fortran) {
    std::vector<double> values(12);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 4; ++j) values[static_cast<std::size_t>(fortran ? j * 3 + i : i * 4 + j)] = 10 * i + j;
    write_npy(folder_ / name, DType::f64, {3, 4}, std::as_bytes(std::span(values)), fortran);
  }
  static void expect_rows(const MatrixFile& file) {
    std::vector<double> rows(8);
    file.copy_rows(1, 2, reinterpret_cast<std::byte*>(rows.data()));
    EXPECT_EQ(rows, (std::vector<double>{10, 11, 12, 13, 20, 21, 22, 23}));
    file.release_rows(1, 2);
    file.copy_rows(1, 2, reinterpret_cast<std::byte*>(rows.data()));
    EXPECT_EQ(rows[7], 23) << "released pages are read again";
    file.copy_rows(3, 0, nullptr);
    EXPECT_THROW(file.copy_rows(2, 2, reinterpret_cast<std::byte*>(rows.data())), Error);
  }
  TempFolder folder_;
};

TEST_F(MatrixFiles, RowsOfBothOrdersAndOfATensor) {
  write("c.npy", false);
  write("f.npy", true);
  expect_rows(MatrixFile(folder_ / "c.npy", {}));
  const MatrixFile fortran(folder_ / "f.npy", {});
  expect_rows(fortran);
  EXPECT_EQ(fortran.layout().column_stride, 3);
  const NpyFile c(folder_ / "c.npy");
  // An odd tensor before it, so that the matrix is not aligned to its elements.
  const std::vector<std::byte> odd(3);
  write_safetensors(folder_ / "t.safetensors",
                    std::vector<SafetensorsEntry>{{"odd", DType::u8, {3}, odd}, {"m", DType::f64, {3, 4}, c.bytes()}});
  expect_rows(MatrixFile(folder_ / "t.safetensors", {.tensor = "m"}));
}

TEST_F(MatrixFiles, RefusalsNameWhatThereIs) {
  write("c.npy", false);
  const std::vector<std::byte> bytes(12);
  write_safetensors(folder_ / "t.safetensors",
                    std::vector<SafetensorsEntry>{{"a", DType::u8, {3, 4}, bytes}, {"b", DType::u8, {12}, bytes}});
  write_safetensors(folder_ / "none.safetensors", {});
  const auto open = [&](const std::string& name, const MatrixFile::Options& options) { MatrixFile(folder_ / name, options); };
  expect_error(ErrorCode::InvalidArgument, {"no tensor 'c'", "a (3 x 4), b (12)"}, [&] { open("t.safetensors", {.tensor = "c"}); });
  expect_error(ErrorCode::InvalidArgument, {"2 tensors", "--tensor", "a (3 x 4), b (12)"}, [&] { open("t.safetensors", {}); });
  expect_error(ErrorCode::InvalidArgument, {"tensor 'b'", "1 dimensions", "reshape"}, [&] { open("t.safetensors", {.tensor = "b"}); });
  expect_error(ErrorCode::InvalidArgument, {"holds no tensor"}, [&] { open("none.safetensors", {}); });
  expect_error(ErrorCode::InvalidArgument, {"leave --tensor out"}, [&] { open("c.npy", {.tensor = "a"}); });
  write_file_atomic(folder_ / "x.csv", "1,2");
  expect_error(ErrorCode::InvalidArgument, {"'.csv'", ".npy"}, [&] { open("x.csv", {}); });
  expect_error(ErrorCode::Io, {"absent.npy"}, [&] { open("absent.npy", {}); });
  EXPECT_EQ(MatrixFile(folder_ / "t.safetensors", {.tensor = "b", .vector_allowed = true}).layout().columns, 1);
}

}  // namespace
}  // namespace panther
