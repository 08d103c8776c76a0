//! The page-table audit (in the making).
