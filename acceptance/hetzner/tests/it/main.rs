//! Tests of the stand-in: what it does, and that what it says looks as Hetzner has published it.

mod life;
mod project;
mod shapes;
