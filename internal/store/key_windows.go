package store

// private says that the permissions of a file say who may read it. Here they do
// not: who may read the store's folder may read its files.
const private = false
