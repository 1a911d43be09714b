// Package interop holds tests of the real programs against the real web
// servers of a Debian system: nginx, Apache, lighttpd and Python's http.server.
// A server that is not installed is skipped; with DDM_INTEROP=all, which make
// soak sets, it is missed.
package interop
