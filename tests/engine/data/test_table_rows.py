"""Test rows of CSV and Parquet files."""

import csv
import io

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.example import RowError
from engine.data.table_rows import csv_rows, parquet_rows
from engine.errors import EngineError

CELLS = st.text(st.sampled_from("ab ,;|\t\"\n'é"), max_size=8)


def read(text):
    return [(n, str(row) if isinstance(row, RowError) else row) for n, row in csv_rows(io.StringIO(text, newline=""))]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), st.sampled_from(",;\t|"))
def test_any_cells_come_back(table, delimiter):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows([("prompt", "answer"), *table])
    found = [(row["prompt"], row["answer"]) for _, row in read(stream.getvalue())]
    assert found == table


def test_rows_know_the_line_where_they_begin():
    assert read('a,b\n1,"2\n2"\n\n3,4\n') == [(2, {"a": "1", "b": "2\n2"}), (5, {"a": "3", "b": "4"})]


def test_cells_of_json_are_read_as_such():
    [(_, row)] = read('messages,n\n"[{""role"": ""user"", ""content"": ""Hi""}]",[x\n')
    assert row == {"messages": [{"role": "user", "content": "Hi"}], "n": "[x"}


def test_a_row_of_another_width_costs_only_itself():
    found = read("a,b\n1\n1,2\n1,2,3\n")
    assert found[0] == (2, "The row has 1 cells where the header names 2.")
    assert found[1] == (3, {"a": "1", "b": "2"})
    assert found[2][1] == "The row has 3 cells where the header names 2."


def test_an_open_quotation_mark_is_found():
    found = read('a,b\n1,2\n"3,4\n5,6\n')
    assert found[0] == (2, {"a": "1", "b": "2"})
    assert found[1][0] == 3
    assert "never closed" in found[1][1]


def test_a_wrong_quotation_mark_costs_only_its_row():
    found = read('a,b\n"1"x,2\n3,4\n')
    assert "no valid CSV" in found[0][1]
    assert found[1] == (3, {"a": "3", "b": "4"})


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(EngineError, match="names the column 'prompt' twice"):
        read("prompt,prompt,answer\n1,2,3\n")


@pytest.fixture
def parquet_file(tmp_path):
    path = tmp_path / "rows.parquet"
    rows = [{"messages": [{"role": "user", "content": f"{i}"}], "n": i} for i in range(600)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_parquet_rows_are_read_in_order_with_progress(parquet_file):
    seen = []
    rows = list(parquet_rows(parquet_file, lambda done, total: seen.append((done, total))))
    assert [number for number, _ in rows] == list(range(1, 601))
    assert rows[599][1] == {"messages": [{"role": "user", "content": "599"}], "n": 599}
    assert seen[-1] == (600, 600)
    assert len(seen) == 3


@pytest.mark.parametrize("keep", [10, 500])
def test_a_damaged_parquet_file_is_one_sentence(parquet_file, keep):
    parquet_file.write_bytes(parquet_file.read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"rows\.parquet is a damaged or cut off Parquet file\."):
        list(parquet_rows(parquet_file))


def test_a_parquet_file_with_damaged_pages_is_one_sentence(parquet_file):
    data = bytearray(parquet_file.read_bytes())
    data[10:200] = b"\xff" * 190
    parquet_file.write_bytes(data)
    with pytest.raises(EngineError, match="damaged or cut off"):
        list(parquet_rows(parquet_file))
