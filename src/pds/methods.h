#pragma once
// The XRPC methods of this server, one file each: create_record.cpp serves com.atproto.repo.createRecord.

#include <cstddef>
#include <span>
#include <string_view>

#include "pds/call.h"
#include "web/router.h"

namespace latchkey::pds {

enum class Verb { query, procedure };
enum class Input { none, json, bytes };  // bytes: of any type, read by the handler as they come

struct Method {
  std::string_view nsid;
  Verb verb;
  Access access;
  Input input;
  std::size_t max_body;  // of bytes: Config::blob_upload_limit
  Task<Answer> (*handler)(Pds&, Call);
};

std::span<const Method> methods();
/// Their routes, each behind its credentials and its permission. `served` must outlive the router.
void add_methods(web::Router& router, Pds& pds, std::span<const Method> served);

// com.atproto.server
Task<Answer> activate_account(Pds&, Call);
Task<Answer> check_account_status(Pds&, Call);
Task<Answer> create_account(Pds&, Call);
Task<Answer> create_app_password(Pds&, Call);
Task<Answer> create_invite_code(Pds&, Call);
Task<Answer> create_invite_codes(Pds&, Call);
Task<Answer> create_session(Pds&, Call);
Task<Answer> deactivate_account(Pds&, Call);
Task<Answer> delete_account(Pds&, Call);
Task<Answer> delete_session(Pds&, Call);
Task<Answer> describe_server(Pds&, Call);
Task<Answer> get_service_auth(Pds&, Call);
Task<Answer> get_session(Pds&, Call);
Task<Answer> list_app_passwords(Pds&, Call);
Task<Answer> refresh_session(Pds&, Call);
Task<Answer> request_account_delete(Pds&, Call);
Task<Answer> revoke_app_password(Pds&, Call);
// com.atproto.identity
Task<Answer> resolve_handle(Pds&, Call);
Task<Answer> update_handle(Pds&, Call);
// com.atproto.lexicon
Task<Answer> resolve_lexicon(Pds&, Call);
// com.atproto.repo
Task<Answer> apply_writes(Pds&, Call);
Task<Answer> create_record(Pds&, Call);
Task<Answer> delete_record(Pds&, Call);
Task<Answer> describe_repo(Pds&, Call);
Task<Answer> get_record(Pds&, Call);
Task<Answer> list_missing_blobs(Pds&, Call);
Task<Answer> list_records(Pds&, Call);
Task<Answer> put_record(Pds&, Call);
Task<Answer> upload_blob(Pds&, Call);
// com.atproto.sync
Task<Answer> get_blob(Pds&, Call);
Task<Answer> get_latest_commit(Pds&, Call);
Task<Answer> get_repo(Pds&, Call);
Task<Answer> get_repo_status(Pds&, Call);
Task<Answer> list_blobs(Pds&, Call);
Task<Answer> list_repos(Pds&, Call);
Task<Answer> sync_get_record(Pds&, Call);

}  // namespace latchkey::pds
