# Installs the headers that belong to the public interface and, through their includes, those they need: from `source` to
# `destination`, under the paths by which they include each other.
cmake_policy(VERSION 3.25)
set(public_headers
  atproto/car/reader.h atproto/car/writer.h
  atproto/cbor/cbor.h atproto/cbor/json.h
  atproto/cid/cid.h
  atproto/identity/resolver.h
  atproto/lexicon/network_resolver.h
  atproto/mst/tree.h
  atproto/plc/operation.h
  atproto/repo/commit.h atproto/repo/engine.h atproto/repo/export.h
  atproto/syntax/at_identifier.h atproto/syntax/at_uri.h atproto/syntax/cid_syntax.h atproto/syntax/datetime.h
  atproto/syntax/did.h atproto/syntax/handle.h atproto/syntax/language.h atproto/syntax/nsid.h atproto/syntax/record_key.h
  atproto/syntax/tid.h atproto/syntax/uri.h
  atproto/xrpc/error.h
  auth/core/auth.h auth/core/symmetric.h auth/plugins/social/generic_oauth.h auth/plugins/social/github.h
  auth/plugins/social/oidc.h
  crypto/aead.h crypto/ed25519.h crypto/hash.h crypto/key.h crypto/password.h
  mail/message.h mail/queue.h mail/smtp.h
  oauth/client/client.h oauth/client/database_stores.h
  oauth/dpop/dpop.h
  oauth/jose/jwk.h oauth/jose/jwt.h
  oauth/pkce/pkce.h
  oauth/scopes/permissions.h oauth/scopes/scopes.h
  store/database.h store/migrate.h
  web/client.h web/cookie.h web/dns.h web/http.h web/router.h web/server.h web/static_files.h web/template.h
  web/websocket.h)
file(GLOB base RELATIVE ${source} ${source}/base/*.h)
list(REMOVE_ITEM base base/pch.h)
list(APPEND public_headers ${base})
# A plugin's own is named like its folder, or plugin.h beside a class of that name.
file(GLOB plugins RELATIVE ${source} ${source}/auth/plugins/*)
foreach(plugin IN LISTS plugins)
  cmake_path(GET plugin FILENAME name)
  foreach(header ${plugin}/${name}.h ${plugin}/plugin.h)
    if(EXISTS ${source}/${header})
      list(APPEND public_headers ${header})
    endif()
  endforeach()
endforeach()

set(headers)
set(waiting ${public_headers})
while(waiting)
  list(POP_FRONT waiting header)
  if(header IN_LIST headers)
    continue()
  endif()
  list(APPEND headers ${header})
  file(STRINGS ${source}/${header} includes REGEX "^#include \"")
  foreach(include IN LISTS includes)
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" include "${include}")
    list(APPEND waiting ${include})
  endforeach()
endwhile()

foreach(header IN LISTS headers)
  cmake_path(GET header PARENT_PATH folder)
  file(INSTALL DESTINATION ${destination}/${folder} TYPE FILE MESSAGE_NEVER FILES ${source}/${header})
endforeach()
