//! The client index of IPv4.
