use crate::store::{Store, Reader as R, self};
use std::io::*;
mod other;

pub const MAX: usize = 3;

/// A thing.
#[derive(Debug)]
pub struct Thing<'a> {
    name: &'a str,
}

impl<'a> Thing<'a> {
    /// Makes it.
    pub fn new(name: &'a str) -> Self {
        Thing { name }
    }

    fn helper(&self) -> usize {
        let x = self.name.len();
        x + MAX
    }
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "{}", self.name)
    }
}

pub trait Shape {
    fn area(&self) -> f64;
}

mod tests {
    #[test]
    fn works() {
        assert!(true);
    }
}
