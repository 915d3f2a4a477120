//! A data base of a service, in memory, with the spans that an instrumented driver makes.

use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};
use rusqlite::{Connection, OptionalExtension as _};

use crate::demo::error::DemoError;

/// One table of texts, by the number of an order.
pub(super) struct Database {
    connection: Mutex<Connection>,
    table: &'static str,
    tracer: BoxedTracer,
}

impl Database {
    /// An empty one.
    pub(super) fn new(table: &'static str, tracer: BoxedTracer) -> Result<Self, DemoError> {
        let connection = Connection::open_in_memory().map_err(DemoError::set_up("a data base"))?;
        let create = format!("CREATE TABLE {table} (number TEXT, said TEXT)");
        connection.execute(&create, []).map_err(DemoError::set_up("a data base"))?;
        Ok(Self { connection: Mutex::new(connection), table, tracer })
    }

    fn told<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StatusCode> {
        let builder = self
            .tracer
            .span_builder(format!("{operation} {}", self.table))
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("db.system.name", "sqlite"),
                KeyValue::new("db.operation.name", operation),
                KeyValue::new("db.collection.name", self.table),
            ]);
        let mut span = self.tracer.build_with_context(builder, &Context::current());
        let done = work(&self.connection.lock().unwrap_or_else(PoisonError::into_inner));
        if done.is_err() {
            span.set_status(Status::error(""));
        }
        span.end();
        done.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Adds a row.
    pub(super) fn insert(&self, number: &str, said: &str) -> Result<(), StatusCode> {
        let statement = format!("INSERT INTO {} VALUES (?1, ?2)", self.table);
        self.told("INSERT", |connection| connection.execute(&statement, [number, said]).map(drop))
    }

    /// The last row of that number.
    pub(super) fn find(&self, number: &str) -> Result<String, StatusCode> {
        let statement =
            format!("SELECT said FROM {} WHERE number = ?1 ORDER BY rowid DESC LIMIT 1", self.table);
        let found = self.told("SELECT", |connection| {
            connection.query_row(&statement, [number], |row| row.get(0)).optional()
        });
        found?.ok_or(StatusCode::NOT_FOUND)
    }
}
