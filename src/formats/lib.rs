//! Trace files of every common format, read into spans.
