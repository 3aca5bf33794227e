"""Texts of every language go into the database, so its encoding must be able to hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from heliograph.errors import CannotStart
from heliograph.storage.postgres import PostgresEngine

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_database_of_another_encoding_is_refused_with_the_words_that_make_a_right_one(
    postgres_server: PostgresServer, encoding: str
) -> None:
    name = f"encoded_{encoding.lower()}"
    make = sql.SQL("create database {} encoding {} template template0").format(sql.Identifier(name), encoding)
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(make)
    with pytest.raises(CannotStart, match="create database heliograph encoding 'UTF8'"):
        PostgresEngine(postgres_server.dsn(name)).connect(write=True)
    postgres_server.drop_database(postgres_server.dsn(name))


def test_text_comes_back_as_text_whatever_encoding_the_client_asks_for(postgres_dsn: str) -> None:
    connection = PostgresEngine(f"{postgres_dsn}&client_encoding=SQL_ASCII").connect(write=False)
    with connection.transaction(0, write=False) as tx:
        assert tx.one("select cast(:word as text)", word="Größe") == ("Größe",)
    connection.close()
