//! The engine through its public face: packets in, packets out, time as an argument. etherparse is the oracle.

#[cfg(test)]
mod ahead;
#[cfg(test)]
mod atomic;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod error_extensions;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod hairpin;
#[cfg(test)]
mod headers;
mod hits;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod lasting;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod merged;
#[cfg(test)]
mod model;
#[cfg(test)]
mod mss;
#[cfg(test)]
mod nat44;
#[cfg(test)]
mod nat64;
#[cfg(test)]
mod own_errors;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod prefixes;
#[cfg(test)]
mod quotes;
#[cfg(test)]
mod reassembly;
#[cfg(test)]
mod reassembly_errors;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod supers;
#[cfg(test)]
mod trains;
#[cfg(test)]
mod unsolicited;
