#include "web/gunzip.h"

#include <zlib.h>

#include <new>

namespace latchkey::web {
namespace {

constexpr std::size_t k_piece = 64 * 1024;
constexpr int k_gzip_only = 16 + MAX_WBITS;  // neither zlib's own format nor bare deflate

class Gunzip {
 public:
  explicit Gunzip(BodyReader packed) : packed_(std::move(packed)) {
    if (::inflateInit2(&zlib_, k_gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~Gunzip() { ::inflateEnd(&zlib_); }
  Gunzip(const Gunzip&) = delete;

  static Task<Result<std::optional<Bytes>, BodyError>> next(std::shared_ptr<Gunzip> self) {
    return self->next();
  }

 private:
  Task<Result<std::optional<Bytes>, BodyError>> next() {
    Bytes out(k_piece);
    std::size_t have = 0;
    while (have == 0) {
      if (zlib_.avail_in == 0) {
        CO_TRY(auto piece, co_await packed_.next());
        if (!piece && !at_end_) co_return fail(BodyError::malformed);
        if (!piece) co_return std::optional<Bytes>();
        input_ = *std::move(piece);
        zlib_.next_in = input_.data();
        zlib_.avail_in = static_cast<uInt>(input_.size());
      }
      // RFC 1952 §2.2: one member after the other.
      if (at_end_ && ::inflateReset(&zlib_) != Z_OK) co_return fail(BodyError::malformed);
      zlib_.next_out = out.data();
      zlib_.avail_out = static_cast<uInt>(out.size());
      const int done = ::inflate(&zlib_, Z_NO_FLUSH);
      if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR) co_return fail(BodyError::malformed);
      at_end_ = done == Z_STREAM_END;
      have = out.size() - zlib_.avail_out;
    }
    out.resize(have);
    co_return std::optional<Bytes>(std::move(out));
  }

  BodyReader packed_;
  Bytes input_;
  z_stream zlib_{};
  bool at_end_ = false;  // of a member
};

}  // namespace

Request::Stream gunzip(BodyReader packed) {
  auto state = std::make_shared<Gunzip>(std::move(packed));
  return [state] { return Gunzip::next(state); };
}

}  // namespace latchkey::web
