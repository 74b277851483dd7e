"""Which columns a sample of events is given: paths, names, and what is left out."""

import msgspec

from gateway.schema import sample
from gateway.schema.columns import COLUMNS_MAX, parse_schema
from gateway.schema.infer import LEFT_OUT_MAX, default_engine, infer, infer_lines
from gateway.schema.jsonpath import STEPS_MAX

# The worked example of the wire contract.
LINES = b"""
{"id": 1, "tags": ["a","b"], "who": {"name": "Ada", "langs": [1,2]}, "at": "2026-01-05 10:00:00"}
{"id": 2, "tags": ["c"], "who": {"name": "Bob", "langs": []}, "at": "2026-01-05 10:00:01"}
{"id": 300, "tags": [], "who": {"name": "Eve"}, "at": "2026-01-05 10:00:02", "score": 0.5}
""".strip().split(b"\n")


def types(*events, wide=False):
    return {column.path: column.recommended_type for column in infer(events, wide=wide).columns}


def names(*events):
    return [column.name for column in infer(events).columns]


def test_the_published_example_comes_out_as_published():
    inferred = infer_lines(LINES)
    assert [(c.path, c.recommended_type, c.present_pct, c.name) for c in inferred.columns] == [
        ("$.at", "DateTime", 1, "at"),
        ("$.id", "Int16", 1, "id"),
        ("$.score", "Nullable(Float32)", 0.33, "score"),
        ("$.tags[:]", "Array(String)", 1, "tags"),
        ("$.who.langs[:]", "Array(Int16)", 0.67, "who_langs"),
        ("$.who.name", "String", 1, "who_name"),
    ]
    assert inferred.text == (
        "at DateTime `json:$.at`, id Int16 `json:$.id`, score Nullable(Float32) `json:$.score`, "
        "tags Array(String) `json:$.tags[:]`, who_langs Array(Int16) `json:$.who.langs[:]` DEFAULT [], "
        "who_name String `json:$.who.name`"
    )


def test_a_share_is_1_only_if_every_event_has_the_path():
    (column,) = infer([{"x": 1}] * 999 + [{"x": None}]).columns
    assert column.present_pct == 0.99


def test_behind_an_array_the_share_counts_elements():
    (column,) = infer([{"x": [1, 2, 3]}]).columns
    assert column.present_pct == 3


def test_an_element_without_the_field_makes_the_elements_nullable():
    assert types({"items": [{"sku": "a", "q": 1}, {"q": 2}]}) == {
        "$.items[:].q": "Array(Int16)",
        "$.items[:].sku": "Array(Nullable(String))",
    }


def test_an_array_that_is_missing_or_null_somewhere_gets_an_empty_one():
    for other in ({}, {"x": None}):
        (column,) = infer([{"x": [1]}, other]).columns
        assert (column.recommended_type, column.default) == ("Array(Int16)", "DEFAULT []")
    (column,) = infer([{"x": [1]}, {"x": []}]).columns
    assert column.default == ""


def test_arrays_of_arrays_keep_their_depth():
    assert types({"m": [[1], []], "items": [{"tags": ["a"]}, {}]}) == {
        "$.items[:].tags[:]": "Array(Array(String))",
        "$.m[:][:]": "Array(Array(Int16))",
    }


def test_null_instead_of_an_inner_array_makes_it_text():
    assert types({"m": [[1], None]}) == {"$.m[:]": "Array(Nullable(String))"}


def test_empty_arrays_hold_text_and_empty_objects_have_no_column():
    assert types({"a": [], "b": {}, "c": [{}], "d": [None]}) == {
        "$.a[:]": "Array(String)",
        "$.d[:]": "Array(Nullable(String))",
    }


def test_what_has_two_shapes_is_text_where_they_part():
    assert types({"who": {"name": "Ada"}}, {"who": "Ada"}) == {"$.who": "String"}
    assert types({"items": [{"sku": 1}]}, {"items": {"sku": 1}}, {}) == {"$.items": "Nullable(String)"}
    assert types({"items": [{"sku": 1}, "x"]}) == {"$.items[:]": "Array(String)"}


def test_what_no_path_reaches_is_text_at_the_last_place_it_does():
    event = "deep"
    for _ in range(STEPS_MAX + 5):
        event = {"k": event}
    assert types(event) == {"$" + ".k" * STEPS_MAX: "String"}


def test_names_are_the_path_in_plain_letters():
    event = {"a.b": 1, "it's": 1, "x-y": {"é": 1}, "1st": 1, "a b": 1}
    assert [(column.path, column.name) for column in infer([event]).columns] == [
        ("$.1st", "c_1st"),
        ("$.x-y.é", "x_y__"),
        ('$["it\'s"]', "it_s"),
        ("$['a b']", "a_b"),
        ("$['a.b']", "a_b_2"),
    ]


def test_a_taken_name_gets_a_number_that_nobody_else_wants():
    assert names({"a": {"b": 1}, "a_b": 1, "a_b_2": 1, "a-b": 1}) == ["a_b", "a_b_3", "a_b_4", "a_b_2"]


def test_names_of_the_engine_are_not_used():
    assert names({"_row_exists": 1, "_block_number": 1, "_part": 1}) == ["_block_number_2", "_part", "_row_exists_2"]


def test_keys_no_path_can_spell_are_left_out_and_named():
    inferred = infer([{"ok": 1, 'q"q': 1, "": 1, "a\\b": 1, "`": 1, "[:]": 1, "a, b": 1, "n\n": 1}])
    assert [column.name for column in inferred.columns] == ["ok"]
    assert len(inferred.left_out) == 7
    assert "No JSONPath can spell the key 'q\"q' at $" in inferred.left_out


def test_of_too_many_paths_those_most_events_have_become_columns():
    rare = {f"k{number}": 1 for number in range(COLUMNS_MAX)}
    inferred = infer([{"often": 1}, {"often": 1}, {**rare, "often": 1}])
    assert len(inferred.columns) == COLUMNS_MAX
    assert "often" in {column.name for column in inferred.columns}
    assert inferred.left_out == ("Beyond 500 columns there is no room for 1 paths more",)


def test_long_names_and_paths_still_make_a_schema_that_can_be_read():
    inferred = infer([{"k" * 400: {f"{'x' * 400}{number}": 1 for number in range(400)}}])
    assert 0 < len(inferred.columns) < 400
    assert inferred.left_out
    assert parse_schema(inferred.schema().sql_schema()) == inferred.schema()


def test_lines_that_are_no_object_are_passed_over():
    inferred = infer_lines([b"", b"nul", b"[1]", b'{"a":"\xff"}', b'{"a":' + b"[" * 5000, b' {"b":1}\r'])
    assert inferred.events == 1
    assert inferred.text == "b Int16 `json:$.b`"


def test_a_number_nobody_can_read_is_text_and_hides_nothing():
    line = b'{"a":{"n":[1e400,1]},"b":' + b"9" * 5000 + b',"c":1}'
    assert {c.path: c.recommended_type for c in infer_lines([line]).columns} == {
        "$.a.n[:]": "Array(String)",
        "$.b": "String",
        "$.c": "Int16",
    }


def test_the_sample_is_bounded_in_lines_and_bytes():
    assert infer_lines([b'{"a":1}'] * (sample.LINES_MAX + 5)).events == sample.LINES_MAX
    long = msgspec.json.encode({"a": "x" * (sample.BYTES_MAX // 2)})
    assert infer_lines([long] * 5).events == 2
    assert infer_lines([msgspec.json.encode({"a": "x" * (2 * sample.BYTES_MAX)})] * 5).events == 1


def test_one_long_line_is_bounded_too():
    inferred = infer([{"0": [1] * sample.ELEMENTS_MAX + ["x"], "00": ["x"], **{f"{n}": n for n in range(1, 20_000)}}])
    found = {column.path: column.recommended_type for column in inferred.columns}
    assert (found["$.0[:]"], found["$.00[:]"]) == ("Array(Int16)", "Array(String)")
    assert len(inferred.left_out) == 2
    assert len(infer([{f"`{n}": n for n in range(1000)}]).left_out) == LEFT_OUT_MAX


def test_the_sorting_key_is_the_first_time_and_is_quoted_where_it_must_be():
    assert default_engine(infer([{"a": 1, "at": "2026-01-05 10:00:00"}]).schema()).sorting_key == "at"
    for word in ("from", "null", "limit"):
        assert default_engine(infer([{word: 1}]).schema()).sorting_key == f"`{word}`"
    assert default_engine(infer([{"a": None}]).schema()).sorting_key == "tuple()"
