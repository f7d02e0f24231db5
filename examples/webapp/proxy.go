package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

const clientIPHelp = "`name` of the header in which your proxy says where a request comes from, such as X-Forwarded-For; required with an https -url. " +
	"Of a list the last address counts, which your own proxy added. Nobody but the proxy may reach -addr"

var hostName = regexp.MustCompile(`^(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?)(:[0-9]{1,5})?$`)

// check refuses what would send passwords and codes in the clear, or show them, and what no
// request would fit.
func (o options) check() error {
	u, err := url.Parse(o.url)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o.url != u.Scheme+"://"+u.Host:
		return errors.New("-url is no address such as https://app.example.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("-url must be https://…, unless it is of this machine alone: put something that speaks TLS in front")
	case net.ParseIP(u.Hostname()) != nil:
		return errors.New("-url must have a name, such as http://localhost:8081: no browser makes a passkey for an address")
	case o.dev && !loopback(u.Hostname()):
		return errors.New("-dev shows everybody's codes, and is for this machine alone")
	case !hostName.MatchString(u.Host) || u.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme]:
		return errors.New("-url must have the host as browsers send it: lower case, xn--… for other letters, and no port if it is the usual one")
	case o.clientIP == "" && o.secure():
		return errors.New("-client-ip-header is required with an https -url: without it, all requests seem to come from the proxy, and a stranger's wrong passwords make everybody wait")
	case strings.EqualFold(o.clientIP, "Forwarded") || !headerName.MatchString(o.clientIP):
		return errors.New("-client-ip-header must name a header that has addresses alone, such as X-Forwarded-For or X-Real-IP")
	}
	return nil
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

// secure says whether browsers come over TLS.
func (o options) secure() bool { return strings.HasPrefix(o.url, "https:") }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// arrived is the request with the address of who sent it. It refuses one that came by
// another way than the options say.
func (a *app) arrived(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	_, host, _ := strings.Cut(a.url, "://")
	switch {
	case r.Host != host && a.secure():
		// A redirect would come back here, if the proxy sends another Host each time.
		http.Error(w, fmt.Sprintf("This is %s, and the request was for %q. Go to %[1]s.\n\nIf you run this server: the proxy in front must pass on the Host that the browser sent, and -url must be that name.",
			a.url, r.Host), http.StatusMisdirectedRequest)
		return nil, false
	case r.Host != host: // a name that others made point here, or localhost
		http.Redirect(w, r, a.url, http.StatusSeeOther)
		return nil, false
	case a.clientIP == "":
		return r, true
	}
	ip, ok := clientIP(r.Header.Values(a.clientIP))
	if !ok {
		http.Error(w, fmt.Sprintf("The request does not say where it comes from.\n\nIf you run this server: the proxy in front must set the header %s to the client's address, and nobody else may reach this port.",
			a.clientIP), http.StatusBadRequest)
		return nil, false
	}
	r = r.Clone(r.Context())
	r.RemoteAddr = net.JoinHostPort(ip.String(), "0")
	return r, true
}

// clientIP is the last address of a header: what stands before it came with the request, and
// anybody can write it.
func clientIP(values []string) (netip.Addr, bool) {
	if len(values) == 0 {
		return netip.Addr{}, false
	}
	last := values[len(values)-1]
	text := strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		ip = withPort.Addr()
	}
	return ip.Unmap().WithZone(""), err == nil
}

// address is where a request comes from.
func address(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
