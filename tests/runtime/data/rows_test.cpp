// csv and synthetic: data sets of rows.
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "runtime/data/csv_reader.h"
#include "runtime/data/dataset.h"
#include "tests/runtime/data/temporary_folder.h"

namespace panther::runtime {
namespace {

using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

Batch all_of(const Dataset& data) {
  std::vector<SampleRef> samples;
  for (std::int64_t i = 0; i < data.size(); ++i) samples.push_back({0, i, i});
  return data.collate(samples);
}

DataConfig csv(const std::string& path, const std::string& task, const std::string& target = "", double val_fraction = 0) {
  DataConfig config;
  config.kind = "csv";
  config.path = path;
  config.task = task;
  config.target = target;
  config.val_fraction = val_fraction;
  return config;
}

TEST(CsvReader, ReadsQuotesLineBreaksAndCarriageReturns) {
  const std::string text = "\xEF\xBB\xBF" "a,\"b \"\"x\"\"\", c \r\n\r\n1,\"two\nlines\",\n\n,,3";
  CsvReader reader(text, "t.csv");
  std::vector<CsvCell> cells;
  const auto texts = [&] {
    std::vector<std::string> result;
    for (const CsvCell& cell : cells) result.push_back(cell.text);
    return result;
  };
  ASSERT_TRUE(reader.next(cells));
  EXPECT_EQ(texts(), (std::vector<std::string>{"a", "b \"x\"", "c"}));
  EXPECT_EQ(reader.place(cells[0]), "t.csv:1:1");
  EXPECT_EQ(reader.place(cells[1]), "t.csv:1:3");
  ASSERT_TRUE(reader.next(cells));
  EXPECT_EQ(texts(), (std::vector<std::string>{"1", "two\nlines", ""}));
  EXPECT_EQ(reader.place(cells[1]), "t.csv:3:3");
  EXPECT_EQ(reader.place(cells[2]), "t.csv:4:8");
  ASSERT_TRUE(reader.next(cells));
  EXPECT_EQ(texts(), (std::vector<std::string>{"", "", "3"}));
  EXPECT_EQ(reader.place(cells[2]), "t.csv:6:3");
  EXPECT_FALSE(reader.next(cells));
}

TEST(Csv, StandardisesWithTheTrainingRowsAndNumbersTheClasses) {
  const TemporaryFolder folder;
  std::string text = "x,kind,constant,y\n";
  for (int i = 0; i < 300; ++i) {
    text += std::to_string(i * 0.5) + "," + (i % 3 == 0 ? "dog" : "\"cat, black\"") + ",7," + std::to_string(1e6 + i) + "\n";
  }
  const Datasets data = make_datasets(csv(folder.write("t.csv", text), "classification", "kind", 0.2), 1, {});
  EXPECT_EQ(data.train->size() + data.validation->size(), 300);
  EXPECT_NEAR(static_cast<double>(data.validation->size()), 60, 5 * 7);  // binomial, standard deviation 7
  EXPECT_EQ(data.train->shape().vocabulary, 2);
  EXPECT_EQ(data.train->shape().features, 3);
  const Batch train = all_of(*data.train);
  const at::Tensor x = train.inputs.select(1, 0).to(at::kDouble);
  EXPECT_NEAR(x.mean().item<double>(), 0, 1e-6);
  EXPECT_NEAR(x.std(0, false).item<double>(), 1, 1e-6);
  EXPECT_EQ(train.inputs.select(1, 1).abs().max().item<float>(), 0) << "a constant column becomes zero";
  EXPECT_NEAR(train.inputs.select(1, 2).to(at::kDouble).std(0, false).item<double>(), 1, 1e-3) << "y is 1e6 + i in f32";
  // x grows with the row: sorted by it, the labels of both parts are those of rows 0, 1, 2, ...
  const Batch held_out = all_of(*data.validation);
  EXPECT_EQ(train.targets.scalar_type(), at::kLong);
  const at::Tensor order = at::cat({train.inputs, held_out.inputs}).select(1, 0).argsort();
  const at::Tensor labels = at::cat({train.targets, held_out.targets}).index_select(0, order);
  for (std::int64_t row = 0; row < 300; ++row) {
    ASSERT_EQ(labels[row].item<std::int64_t>(), row % 3 == 0 ? 1 : 0) << "'cat, black' comes before 'dog'";
  }
}

TEST(Csv, RegressionStandardisesTheTarget) {
  const TemporaryFolder folder;
  const Datasets data = make_datasets(csv(folder.write("t.csv", "a,price\n1,100\n2,200\n3,300\n4,+4e2\n"), "regression"), 1, {});
  EXPECT_EQ(data.validation, nullptr);
  EXPECT_TRUE(data.train->shape().regression);
  EXPECT_THAT(data.train->summary(), AllOf(HasSubstr("'price'"), HasSubstr("mean 250")));
  const Batch batch = all_of(*data.train);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(batch.targets[i].item<double>(), (i - 1.5) / std::sqrt(1.25), 1e-6);
    EXPECT_NEAR(batch.inputs[i][0].item<double>(), (i - 1.5) / std::sqrt(1.25), 1e-6);
  }
}

TEST(Csv, NumericLabelsAreNumberedByValue) {
  const TemporaryFolder folder;
  const Datasets data = make_datasets(csv(folder.write("t.csv", "a,c\n1,10\n2,9\n3,10\n4,100\n5,9\n"), "classification"), 1, {});
  const at::Tensor targets = all_of(*data.train).targets;
  EXPECT_TRUE(at::equal(targets, at::tensor({1, 0, 1, 2, 0}, at::kLong)));
}

void expect_csv_error(const std::string& content, const std::string& message, const std::string& place, const std::string& target = "",
                      const std::string& task = "regression", double val_fraction = 0) {
  const TemporaryFolder folder;
  try {
    make_datasets(csv(folder.write("t.csv", content), task, target, val_fraction), 1, {});
    ADD_FAILURE() << "no error that says '" << message << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(message), HasSubstr(place)));
  }
}

TEST(Csv, ErrorsNameTheCell) {
  expect_csv_error("", "is empty", "data.path");
  expect_csv_error("a\n1\n", "one column", "t.csv:1:1");
  expect_csv_error("a,b,a\n1,2,3\n", "stands twice", "t.csv:1:5");
  expect_csv_error("a,b\n1,2\n3\n", "1 cells and the header 2", "t.csv:3:1");
  expect_csv_error("a,b\n1,2\n3,4,5\n", "3 cells and the header 2", "t.csv:3:3");
  expect_csv_error("a,b\n1,2\nx,4\n", "'x' in column 'a' is not a finite number", "t.csv:3:1");
  expect_csv_error("a,b\n1,2\n1,nan\n", "not a finite number", "t.csv:3:3");
  expect_csv_error("a,b\n1,2\n1,\n", "column 'b' is empty", "t.csv:3:3");
  expect_csv_error("a,b\n\"1,2\n", "never closes", "t.csv:2:1");
  expect_csv_error("a,b\n\"1\"x,2\n", "closing quote", "t.csv:2:4");
  expect_csv_error("alpha,beta\n1,2\n", "did you mean 'alpha'", "data.target", "alhpa");
  expect_csv_error("a,b\n1,0.5\n2,0.7\n3,0.9\n", "no classes", "data.target", "b", "classification");
  expect_csv_error("a,b\n1,0.5\n", "0 to validate", "data.path", "b", "regression", 0.1);
  try {
    make_datasets(csv("/no/such.csv", "regression"), 1, {});
    ADD_FAILURE() << "a missing file";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'/no/such.csv' is not a file"), HasSubstr("data.path")));
  }
}

DataConfig synthetic(const std::string& task) {
  DataConfig config;
  config.kind = "synthetic";
  config.task = task;
  config.samples = 4000;
  config.features = 30;
  config.classes = 7;
  config.val_fraction = 0.25;
  return config;
}

TEST(Synthetic, ClassesAreSeparableByTheMeansOfOtherRows) {
  const Datasets data = make_datasets(synthetic("classification"), 3, {});
  ASSERT_EQ(data.train->size(), 3000);
  ASSERT_EQ(data.validation->size(), 1000);
  const Batch train = all_of(*data.train), held_out = all_of(*data.validation);
  at::Tensor means = at::zeros({7, 30});
  for (std::int64_t c = 0; c < 7; ++c) {
    const at::Tensor rows = train.inputs.index({train.targets.eq(c)});
    EXPECT_NEAR(static_cast<double>(rows.size(0)), 3000 / 7.0, 100) << "classes are equally likely (five standard deviations)";
    means[c].copy_(rows.mean(0));
    // Unit noise around the prototype: 400 rows of 30 values give the variance to 1.3 %.
    EXPECT_NEAR((rows - means[c]).pow(2).mean().item<double>(), 1.0, 0.07);
  }
  const at::Tensor predicted = at::cdist(held_out.inputs, means).argmin(1);
  const double accuracy = predicted.eq(held_out.targets).to(at::kDouble).mean().item<double>();
  EXPECT_GT(accuracy, 0.95);
  EXPECT_LT(accuracy, 1.0) << "the noise leaves some rows ambiguous";
}

TEST(Synthetic, RegressionIsALinearTeacherWithNoise) {
  const Datasets data = make_datasets(synthetic("regression"), 3, {});
  const Batch train = all_of(*data.train), held_out = all_of(*data.validation);
  const at::Tensor x = train.inputs.to(at::kDouble), y = train.targets.to(at::kDouble);
  // Normal equations by a plain solve; the residual on other rows is the noise, 0.1, to 1000 rows' accuracy (2.2 %) and 30 / 3000.
  const at::Tensor weights = at::linalg_solve(x.t().mm(x), x.t().mv(y).unsqueeze(1));
  const at::Tensor residual = held_out.inputs.to(at::kDouble).mm(weights).squeeze(1) - held_out.targets.to(at::kDouble);
  EXPECT_NEAR(residual.pow(2).mean().sqrt().item<double>(), 0.1, 0.012);
  EXPECT_NEAR(x.mean().item<double>(), 0, 5 / std::sqrt(90000.0));
  EXPECT_NEAR(x.pow(2).mean().item<double>(), 1, 5 * std::sqrt(2 / 90000.0));
}

TEST(Synthetic, RowsDependOnSeedAndIndexOnly) {
  const Datasets one = make_datasets(synthetic("classification"), 3, {}), same = make_datasets(synthetic("classification"), 3, {}),
                 other = make_datasets(synthetic("classification"), 4, {});
  const std::vector<SampleRef> some = {{0, 5, 5}, {0, 17, 6}}, swapped = {{2, 17, 90}, {1, 5, 91}};
  EXPECT_TRUE(at::equal(one.train->collate(some).inputs, same.train->collate(swapped).inputs.flip(0)));
  EXPECT_FALSE(at::equal(one.train->collate(some).inputs, other.train->collate(some).inputs));
  EXPECT_FALSE(at::equal(one.train->collate(some).inputs, one.validation->collate(some).inputs));
  DataConfig tiny = synthetic("classification");
  tiny.samples = 2;
  tiny.val_fraction = 0.1;
  EXPECT_THROW(make_datasets(tiny, 1, {}), Error);
}

TEST(DatasetRegistry, NamesItsMembers) {
  EXPECT_EQ(dataset_registry().names(), (std::vector<std::string>{"bytes", "csv", "synthetic"}));
  DataConfig config;
  config.kind = "synthetik";
  EXPECT_THROW(make_datasets(config, 0, {}), Error);
}

}  // namespace
}  // namespace panther::runtime
