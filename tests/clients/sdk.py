"""Runs one call of Tinybird's Python SDK, in the SDK's own environment, and prints what it returned or raised.

python sdk.py http://127.0.0.1:7181 TOKEN datasources.append '["name", {"file": "rows.csv"}]'
"""

import json
import sys
from functools import reduce

from tinybird_sdk.client.base import TinybirdClient

base_url, token, call, arguments = sys.argv[1:]
client = TinybirdClient({"base_url": base_url, "token": token})
try:
    answer = reduce(getattr, call.split("."), client)(*json.loads(arguments))
except Exception as error:
    print(json.dumps({"error": str(error), "type": type(error).__name__}))
else:
    print(json.dumps({"answer": answer}, default=str))
