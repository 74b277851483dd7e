"""Does what Tinybird's Python SDK does before its first build, and prints what came of it.

python sdk_local.py http://127.0.0.1:7181 NAME
"""

import json
import sys

from tinybird_sdk.api import local, workspaces

base_url, name = sys.argv[1:]
local.LOCAL_BASE_URL = base_url  # the SDK knows no other port than the published one
tokens = local.get_local_tokens()
first = local.get_or_create_local_workspace(tokens, name)
again = local.get_or_create_local_workspace(tokens, name)
seen = workspaces.get_workspace({"base_url": base_url, "token": first["workspace"].token})
local.delete_local_workspace(tokens.user_token, first["workspace"].id)
left = [each.name for each in local.list_local_workspaces(tokens.admin_token)["workspaces"]]
made = [each["was_created"] for each in (first, again)]
print(json.dumps({"made": made, "same": first["workspace"] == again["workspace"], "seen": seen.name, "left": left}))
