//! The columns of a segment. Others read them by name: a name stays, and a new column comes last.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, Type};

/// Number of a column.
macro_rules! columns {
    ($($name:ident $text:literal;)+) => {
        /// The columns, in their order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Column { $($name,)+ }

        impl Column {
            /// Its name.
            pub(super) fn name(self) -> &'static str {
                let text = match self { $(Self::$name => $text,)+ };
                text.split(' ').nth(2).unwrap_or_default()
            }
        }

        /// The schema, as Parquet writes it.
        const SCHEMA: &str = concat!("message hop {", $($text, ";",)+ "}");
    };
}

columns! {
    Subject "required fixed_len_byte_array(16) subject";
    Start "required int64 start (TIMESTAMP(NANOS, true))";
    End "required int64 end (TIMESTAMP(NANOS, true))";
    TraceId "required fixed_len_byte_array(16) trace_id";
    Version "required int32 version";
    Place "required int32 place";
    SpanId "required fixed_len_byte_array(8) span_id";
    ParentSpanId "optional fixed_len_byte_array(8) parent_span_id";
    CallerPlace "optional int32 caller_place";
    Caller "optional binary caller (STRING)";
    Service "optional binary service (STRING)";
    Namespace "optional binary namespace (STRING)";
    Environment "optional binary environment (STRING)";
    Operation "optional binary operation (STRING)";
    Via "optional binary via (STRING)";
    Method "optional binary method (STRING)";
    Principal "optional binary principal (STRING)";
    Issuer "optional binary issuer (STRING)";
    Tenant "optional binary tenant (STRING)";
    Actors "optional binary actors (STRING)";
    Kind "required binary kind (STRING)";
    Assurance "required binary assurance (STRING)";
    Basis "required binary basis (STRING)";
    Outcome "required binary outcome (STRING)";
    PrincipalKind "optional binary principal_kind (STRING)";
    Uncovered "required boolean uncovered";
    Complete "required boolean trace_complete";
    ClosedEarly "required boolean trace_closed_early";
    MissingParents "required int32 trace_missing_parents";
    Digest "required int64 trace_digest";
}

/// The columns of texts, in the order of [`HopTexts::to_array`](super::super::block::HopTexts::to_array).
pub(super) const TEXTS: [Column; 11] = [
    Column::Caller,
    Column::Service,
    Column::Namespace,
    Column::Environment,
    Column::Operation,
    Column::Via,
    Column::Method,
    Column::Principal,
    Column::Issuer,
    Column::Tenant,
    Column::Actors,
];

/// The columns of words of ours.
pub(super) const WORDS: [Column; 5] =
    [Column::Kind, Column::Assurance, Column::Basis, Column::Outcome, Column::PrincipalKind];

/// The schema as Arrow has it: texts by their numbers among all.
pub(super) fn arrow(schema: &SchemaDescriptor) -> Result<SchemaRef, ParquetError> {
    let schema = parquet_to_arrow_schema(schema, None)?;
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 => {
            let texts = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8));
            Arc::new(field.as_ref().clone().with_data_type(texts))
        }
        _ => Arc::clone(field),
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())))
}

pub(super) fn schema() -> Result<Arc<Type>, ParquetError> {
    parse_message_type(SCHEMA).map(Arc::new)
}
