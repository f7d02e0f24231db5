package mfaweb

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

func (h *Handler) cookieName(name string) string {
	if h.cfg.InsecureHTTP {
		return name
	}
	return "__Host-" + name
}

// setCookie sets one for the whole site, which no script reads and no other site sends. With ""
// it is deleted.
func (h *Handler) setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if value == "" {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is false with InsecureHTTP alone
		Name: h.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: !h.cfg.InsecureHTTP, SameSite: http.SameSiteStrictMode,
	})
}

// cookie is the value of a cookie. Of two with one name, somebody else may have set one.
func (h *Handler) cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(h.cookieName(name))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

const (
	questionCookie = "mfa_question"
	deviceCookie   = "mfa_device"
	receiptCookie  = "mfa_receipt"
	deviceAge      = 90 * 24 * time.Hour // how long package mfa knows a device
)

// question is what the browser was asked.
func (h *Handler) question(r *http.Request) (q question, ok bool) {
	text, ok := h.svc.OpenToken(questionPurpose, h.cookie(r, questionCookie))
	return q, ok && json.Unmarshal(text, &q) == nil
}

// keep sets the cookie of a question.
func (h *Handler) keep(w http.ResponseWriter, q question) error {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)              // which would make six bytes of one
	if err := out.Encode(q); err != nil { //nolint:gosec // it is sealed below
		return err
	}
	token, err := h.svc.SealToken(questionPurpose, text.Bytes(), questionAge)
	if err == nil {
		h.setCookie(w, questionCookie, token, questionAge)
	}
	return err
}
