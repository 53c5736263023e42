// Package console is Serin in a browser: pages for people, below /console/, served by the binary itself.
//
// # Pages
//
// Every page is made by the server from the documents of package overview and from the use cases of control, release and
// cloudwatch; the console has no rules of its own. Templates escape everything that comes from outside. Scripts improve a
// page that is there: they shift a slider, draw a chart, open a confirmation as a dialog. There is no build step and no
// framework; what is not written by hand is the chart library uPlot, kept with its licence.
//
// # Live
//
// A page is made of fragments, elements with an id that are rendered by a template of their own. A [hub] renders the
// fragments of what somebody looks at once a second, however many do, and sends those that have changed as server-sent
// events; the script puts them in place. The first rendering and the later ones are the same code.
//
// # Actions
//
// Every action has an address. GET shows what will happen, what will not be undone and the same as a command; POST does
// it, with the RevisionId of what was shown, so that what somebody else has changed meanwhile is not overwritten. Every write
// is carried out as the person who is logged in, and noted in the audit log.
//
// # Security
//
//   - A session begins with an access key or with a link that serin console asks for, which works once and for a minute.
//     Its cookie is HttpOnly and SameSite=Strict, Secure behind TLS, and has no meaning outside this process: a restart
//     logs everybody out. A session ends with its key.
//   - A session may be read-only, for a display on a wall.
//   - net/http's CrossOriginProtection refuses writes that another site sends; the Content-Security-Policy allows
//     nothing but scripts, styles and connections of this server, and no frames.
//   - Attempts to log in are limited by address and in all.
//   - A server without authentication serves the console to loopback addresses under loopback names alone.
package console
