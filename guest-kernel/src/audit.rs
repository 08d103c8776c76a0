//! temporary
#[derive(Clone, Copy, Debug)] pub struct Finding;
impl core::fmt::Display for Finding { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str("x") } }
pub fn run() -> Result<(), Finding> { Ok(()) }
