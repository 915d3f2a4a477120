//! The program as a whole, run as its users run it.

#[cfg(test)]
mod accuracy;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod collector;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod exporters;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod jaeger;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod program;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod real_traces;
#[cfg(test)]
mod serve;
