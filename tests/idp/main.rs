//! The crate against identity providers: one that does everything wrong, and a real one.

#[cfg(test)]
mod bound;
#[cfg(test)]
mod events;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod keycloak;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod outgoing;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod real;
#[cfg(test)]
mod spire;
#[cfg(test)]
mod tls;
