// Text as bytes: every byte is a token, a sample is a window of seq_len tokens and its successors.
#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"
#include "runtime/data/dataset.h"
#include "runtime/data/text_corpus.h"

namespace panther {
namespace runtime {
namespace {

class BytesDataset final : public Dataset {
 public:
  /// With `shifted` the windows of each epoch after the first begin a few bytes later, so that the cuts fall elsewhere.
  BytesDataset(TextPart text, std::int64_t seq_len, bool shifted, std::uint64_t seed, std::string note)
      : text_(std::move(text)), seq_len_(seq_len), seed_(seed), note_(std::move(note)) {
    const auto bytes = static_cast<std::int64_t>(text_.bytes.size());
    PANTHER_CHECK(bytes > seq_len_, bytes, " bytes for windows of ", seq_len_);
    size_ = shifted ? std::max<std::int64_t>(1, bytes / seq_len_ - 1) : (bytes - 1) / seq_len_;
    shifts_ = shifted ? std::min(seq_len_, bytes - size_ * seq_len_) : 1;
  }

  std::int64_t size() const override { return size_; }
  DataShape shape() const override { return {.vocabulary = 256, .features = 0, .sequence = seq_len_, .regression = false}; }

  Batch collate(std::span<const SampleRef> samples) const override {
    const auto rows = static_cast<std::int64_t>(samples.size());
    Batch batch{at::empty({rows, seq_len_}, at::kLong), at::empty({rows, seq_len_}, at::kLong), at::empty({rows}, at::kLong)};
    auto* inputs = batch.inputs.mutable_data_ptr<std::int64_t>();
    auto* targets = batch.targets.mutable_data_ptr<std::int64_t>();
    auto* ids = batch.sample_ids.mutable_data_ptr<std::int64_t>();
    for (const SampleRef& sample : samples) {
      PANTHER_CHECK(sample.index >= 0 && sample.index < size_, "window ", sample.index, " of ", size_);
      const char* window = text_.bytes.data() + sample.index * seq_len_ + shift_of(sample.epoch);
      for (std::int64_t t = 0; t < seq_len_; ++t) {
        *inputs++ = static_cast<unsigned char>(window[t]);
        *targets++ = static_cast<unsigned char>(window[t + 1]);
      }
      *ids++ = sample.position;
    }
    return batch;
  }

  std::string summary() const override {
    return concat(text_.files, text_.files == 1 ? " file, " : " files, ", human_bytes(static_cast<double>(text_.bytes.size())), ", ", size_,
                  " windows of ", seq_len_, note_);
  }

 private:
  std::int64_t shift_of(std::int64_t epoch) const {
    if (epoch == 0) return 0;
    const std::uint64_t key = mix64(seed_, static_cast<std::uint64_t>(RandomDomain::sampler) << 32);
    return static_cast<std::int64_t>(mix64(key, static_cast<std::uint64_t>(epoch)) % static_cast<std::uint64_t>(shifts_));
  }

  TextPart text_;
  std::int64_t seq_len_;
  std::uint64_t seed_;
  std::string note_;
  std::int64_t size_ = 0;
  std::int64_t shifts_ = 1;
};

Datasets make_bytes(const DataConfig& config, std::uint64_t seed, const ConfigOrigin& origin) {
  const TextCorpus corpus = read_text_corpus(
      {.path = config.path, .extensions = config.extensions, .val_fraction = config.val_fraction, .min_bytes = config.seq_len + 1}, origin);
  std::string note = corpus.split_by_position && config.val_fraction > 0 ? ", split by position" : "";
  if (corpus.binary_files > 0) note += concat(", ", corpus.binary_files, " binary files skipped");
  Datasets result;
  result.train = std::make_shared<BytesDataset>(corpus.train, config.seq_len, true, seed, note);
  if (config.val_fraction > 0) result.validation = std::make_shared<BytesDataset>(corpus.validation, config.seq_len, false, seed, note);
  return result;
}

}  // namespace
}  // namespace runtime

void register_bytes(runtime::DatasetRegistry& registry) { registry.add("bytes", {&runtime::make_bytes}); }

}  // namespace panther
