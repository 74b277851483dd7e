"""Runs one call of Tinybird's Python SDK, in the SDK's own environment, and prints what it returned or raised.

python sdk.py http://127.0.0.1:7181 TOKEN datasources.append '["name", {"file": "rows.csv"}]'
python sdk.py http://127.0.0.1:7181 TOKEN resources.get_pipe '["name"]'
"""

import json
import sys
from dataclasses import asdict
from functools import reduce

from tinybird_sdk.api import resources
from tinybird_sdk.client.base import TinybirdClient

base_url, token, call, arguments = sys.argv[1:]
config = {"base_url": base_url, "token": token}
try:
    if call.startswith("resources."):
        answer = getattr(resources, call.removeprefix("resources."))(config, *json.loads(arguments))
    else:
        answer = reduce(getattr, call.split("."), TinybirdClient(config))(*json.loads(arguments))
except Exception as error:
    print(json.dumps({"error": str(error), "type": type(error).__name__}))
else:
    print(json.dumps({"answer": answer}, default=asdict))
