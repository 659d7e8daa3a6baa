"""Hive DDL as Athena users write it → frozen statements. Pure; what is no DDL goes on as a `Select` untouched."""

from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    ColumnDef,
    CreateDatabase,
    CreateTable,
    CreateView,
    Describe,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    PartitionSpec,
    RepairTable,
    Select,
    ShowColumns,
    ShowDatabases,
    ShowPartitions,
    ShowTables,
    Statement,
    TableName,
)
from deploy.local.athena.tokens import Cursor

_PRIMITIVES = frozenset({
    "string", "varchar", "char", "tinyint", "smallint", "int", "integer", "bigint", "boolean", "float", "double",
    "decimal", "date", "timestamp", "binary",
})  # fmt: skip
_NESTED = frozenset({"array", "map", "struct"})
_QUERY_WORDS = frozenset({"select", "with", "values", "("})


def parse(sql: str) -> Statement:
    """The statement in `sql`. Raises `InvalidRequestError` on a syntax error or a kind that is not supported."""
    text = sql.strip().rstrip(";").rstrip()
    if not text:
        raise InvalidRequestError("QueryString must not be empty")
    return _Parser(text).statement()


class _Parser:
    """Recursive descent over the tokens of one statement."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._cursor = Cursor(text)

    def statement(self) -> Statement:
        if self._cursor.next.word in _QUERY_WORDS:
            return Select(query=self._text)
        for words, parse_rest in (
            (("create", "database"), self._create_database),
            (("create", "schema"), self._create_database),
            (("create", "external", "table"), self._create_table),
            (("create", "view"), lambda: self._create_view(or_replace=False)),
            (("create", "or", "replace", "view"), lambda: self._create_view(or_replace=True)),
            (("drop", "database"), self._drop_database),
            (("drop", "schema"), self._drop_database),
            (("drop", "table"), self._drop_table),
            (("drop", "view"), self._drop_view),
            (("alter", "table"), self._alter_table),
            (("msck", "repair", "table"), lambda: RepairTable(name=self._table())),
            (("show", "databases"), lambda: ShowDatabases(like=self._pattern())),
            (("show", "schemas"), lambda: ShowDatabases(like=self._pattern())),
            (("show", "tables"), self._show_tables),
            (("show", "partitions"), lambda: ShowPartitions(name=self._table())),
            (("show", "columns"), self._show_columns),
            (("describe",), self._describe),
            (("desc",), self._describe),
        ):
            if self._cursor.accept(*words):
                statement: Statement = parse_rest()
                if not self._cursor.at_end:
                    raise self._cursor.mismatch("<EOF>")
                return statement
        raise InvalidRequestError(
            f"Queries of this type are not supported by the local Athena: {' '.join(self._text.split())[:60]}"
        )

    def _create_database(self) -> CreateDatabase:
        if_not_exists = self._cursor.accept("if", "not", "exists")
        name = self._cursor.identifier()
        comment = self._cursor.string() if self._cursor.accept("comment") else ""
        location = self._cursor.string() if self._cursor.accept("location") else None
        if self._cursor.accept("with", "dbproperties"):
            self._properties()
        return CreateDatabase(name=name, if_not_exists=if_not_exists, comment=comment, location=location)

    def _drop_database(self) -> DropDatabase:
        if_exists = self._cursor.accept("if", "exists")
        name = self._cursor.identifier()
        cascade = self._cursor.accept("cascade")
        if not cascade:
            self._cursor.accept("restrict")
        return DropDatabase(name=name, if_exists=if_exists, cascade=cascade)

    def _create_table(self) -> CreateTable:
        if_not_exists = self._cursor.accept("if", "not", "exists")
        name = self._table()
        columns = self._columns()
        comment = self._cursor.string() if self._cursor.accept("comment") else ""
        partition_keys = self._columns() if self._cursor.accept("partitioned", "by") else ()
        self._parquet()
        if not self._cursor.accept("location"):
            raise self._cursor.mismatch("LOCATION")
        location = self._cursor.string()
        if not location.startswith("s3://"):
            raise InvalidRequestError(f"LOCATION must be an s3:// URL, not {location!r}")
        properties = self._properties() if self._cursor.accept("tblproperties") else ()
        return CreateTable(
            name=name, columns=columns, partition_keys=partition_keys, location=location.rstrip("/") + "/",
            if_not_exists=if_not_exists, comment=comment, properties=properties,
        )  # fmt: skip

    def _parquet(self) -> None:
        """`[ROW FORMAT SERDE '…Parquet…' [WITH SERDEPROPERTIES (…)]] STORED AS PARQUET`, the only format yet."""
        if self._cursor.accept("row", "format", "serde"):
            self._only_parquet(self._cursor.string())
            if self._cursor.accept("with", "serdeproperties"):
                self._properties()
        if not self._cursor.accept("stored", "as"):
            raise self._cursor.mismatch("STORED AS PARQUET")
        if self._cursor.accept("inputformat"):
            self._only_parquet(self._cursor.string())
            self._cursor.expect("outputformat")
            self._cursor.string()
        else:
            self._only_parquet(self._cursor.identifier())

    @staticmethod
    def _only_parquet(name: str) -> None:
        if "parquet" not in name.lower():
            raise InvalidRequestError(f"The local Athena reads tables STORED AS PARQUET only, not {name}")

    def _create_view(self, *, or_replace: bool) -> CreateView:
        name = self._table()
        self._cursor.expect("as")
        if self._cursor.next.word not in _QUERY_WORDS:
            raise self._cursor.mismatch("SELECT")
        return CreateView(name=name, or_replace=or_replace, query=self._cursor.take_rest())

    def _drop_table(self) -> DropTable:
        if_exists = self._cursor.accept("if", "exists")
        return DropTable(name=self._table(), if_exists=if_exists)

    def _drop_view(self) -> DropView:
        if_exists = self._cursor.accept("if", "exists")
        return DropView(name=self._table(), if_exists=if_exists)

    def _alter_table(self) -> Statement:
        name = self._table()
        if self._cursor.accept("add", "columns"):
            return AddColumns(name=name, columns=self._columns())
        if self._cursor.accept("add"):
            if_not_exists = self._cursor.accept("if", "not", "exists")
            partitions = [self._partition()]
            while not self._cursor.at_end:
                partitions.append(self._partition())
            return AddPartitions(name=name, if_not_exists=if_not_exists, partitions=tuple(partitions))
        if self._cursor.accept("drop"):
            if_exists = self._cursor.accept("if", "exists")
            partitions = [self._partition()]
            while self._cursor.accept(","):
                partitions.append(self._partition())
            return DropPartitions(name=name, if_exists=if_exists, partitions=tuple(partitions))
        raise self._cursor.mismatch("ADD COLUMNS, ADD PARTITION or DROP PARTITION")

    def _partition(self) -> PartitionSpec:
        self._cursor.expect("partition")
        self._cursor.expect("(")
        values = [self._partition_value()]
        while self._cursor.accept(","):
            values.append(self._partition_value())
        self._cursor.expect(")")
        return PartitionSpec(
            values=tuple(values), location=self._cursor.string() if self._cursor.accept("location") else None
        )

    def _partition_value(self) -> tuple[str, str]:
        key = self._cursor.identifier()
        self._cursor.expect("=")
        if self._cursor.next.kind == "word" and self._cursor.next.text.isdigit():
            return key, self._cursor.take().text
        return key, self._cursor.string()

    def _show_tables(self) -> ShowTables:
        database = self._cursor.identifier() if self._cursor.accept("in") or self._cursor.accept("from") else None
        return ShowTables(database=database, like=self._pattern())

    def _show_columns(self) -> ShowColumns:
        if not self._cursor.accept("in"):
            self._cursor.expect("from")
        name = self._table()
        if name.database is None and (self._cursor.accept("in") or self._cursor.accept("from")):
            name = TableName(database=self._cursor.identifier(), table=name.table)
        return ShowColumns(name=name)

    def _describe(self) -> Describe:
        if not self._cursor.accept("formatted"):
            self._cursor.accept("extended")
        return Describe(name=self._table())

    def _pattern(self) -> str | None:
        if self._cursor.accept("like") or self._cursor.next.kind == "string":
            return self._cursor.string()
        return None

    def _columns(self) -> tuple[ColumnDef, ...]:
        self._cursor.expect("(")
        columns = [self._column()]
        while self._cursor.accept(","):
            columns.append(self._column())
        self._cursor.expect(")")
        return tuple(columns)

    def _column(self) -> ColumnDef:
        name = self._cursor.identifier()
        kind = self._type()
        return ColumnDef(name=name, type=kind, comment=self._cursor.string() if self._cursor.accept("comment") else "")

    def _type(self) -> str:
        if self._cursor.next.word not in _PRIMITIVES | _NESTED:
            raise self._cursor.mismatch("a type")
        name = self._cursor.take().word
        if name == "array":
            self._cursor.expect("<")
            inner = self._type()
            self._cursor.expect(">")
            return f"array<{inner}>"
        if name == "map":
            self._cursor.expect("<")
            key = self._type()
            self._cursor.expect(",")
            value = self._type()
            self._cursor.expect(">")
            return f"map<{key},{value}>"
        if name == "struct":
            self._cursor.expect("<")
            fields = [self._field()]
            while self._cursor.accept(","):
                fields.append(self._field())
            self._cursor.expect(">")
            return f"struct<{','.join(fields)}>"
        return ("int" if name == "integer" else name) + self._type_arguments()

    def _type_arguments(self) -> str:
        if not self._cursor.accept("("):
            return ""
        arguments = [self._cursor.take().text]
        while self._cursor.accept(","):
            arguments.append(self._cursor.take().text)
        self._cursor.expect(")")
        if not all(argument.isdigit() for argument in arguments):
            raise InvalidRequestError(f"mismatched type arguments ({','.join(arguments)})")
        return f"({','.join(arguments)})"

    def _field(self) -> str:
        name = self._cursor.identifier()
        self._cursor.expect(":")
        return f"{name}:{self._type()}"

    def _properties(self) -> tuple[tuple[str, str], ...]:
        self._cursor.expect("(")
        found = [self._property()]
        while self._cursor.accept(","):
            found.append(self._property())
        self._cursor.expect(")")
        return tuple(found)

    def _property(self) -> tuple[str, str]:
        key = self._cursor.string()
        self._cursor.expect("=")
        return key, self._cursor.string()

    def _table(self) -> TableName:
        first = self._cursor.identifier()
        if not self._cursor.accept("."):
            return TableName(database=None, table=first)
        second = self._cursor.identifier()
        if first == "awsdatacatalog" and self._cursor.accept("."):
            return TableName(database=second, table=self._cursor.identifier())
        return TableName(database=first, table=second)
