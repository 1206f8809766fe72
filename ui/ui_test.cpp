#include <gtest/gtest.h>

#include "ui/embedded.h"
#include "web/messages.h"
#include "web/template.h"

namespace latchkey {
namespace {

TEST(Ui, EveryTemplateIsAcceptedAndRenders) {
  const web::StaticFiles assets(ui::static_files());
  const web::Messages messages(ui::messages());
  const web::Templates templates(ui::templates(), &assets, &messages);
  ASSERT_FALSE(ui::templates().empty());
  for (const auto& file : ui::templates()) {
    auto name = file.path;
    if (name.ends_with(".html")) name.remove_suffix(5);
    for (const auto& words : messages.all())
      EXPECT_NO_THROW(templates.render(name, json::Object{}, words.lang())) << name << " " << words.lang();
  }
}

TEST(Ui, StaticFilesAreServedUnderTheAddressThatPagesUse) {
  const web::StaticFiles assets(ui::static_files());
  for (const auto& file : ui::static_files()) {
    const auto r = assets.serve(web::Request::make("GET", assets.url(file.path)));
    EXPECT_EQ(r.status, 200) << file.path;
    EXPECT_EQ(*r.shared_body, to_bytes(file.bytes)) << file.path;
    EXPECT_NE(r.headers.get("content-type"), "application/octet-stream") << file.path;
  }
}

}  // namespace
}  // namespace latchkey
