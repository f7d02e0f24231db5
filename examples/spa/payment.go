package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// A payment is what people do here that wants a fresh second factor.
type payment struct {
	To     string
	Amount int // EUR
}

// fields are what is approved: another amount, or another name, is another payment.
func (p payment) fields() []string { return []string{strconv.Itoa(p.Amount), p.To} }

type paymentKey struct{}

func paymentOf(r *http.Request) payment {
	p, _ := r.Context().Value(paymentKey{}).(payment)
	return p
}

// readPayment reads once, so that what is approved is what is done.
func readPayment(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p payment
		if !read(w, r, &p) {
			return
		}
		if p.To = strings.TrimSpace(p.To); p.To == "" || len(p.To) > 64 || p.Amount < 1 || p.Amount > 1000 {
			refuse(w, http.StatusUnprocessableEntity, "invalid_payment",
				"Say to whom, and how much: 1 to 1000 EUR.")
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), paymentKey{}, p)))
	})
}

// paying is for whoever was let through.
func (a *app) paying() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.paid = append(a.paid, paymentOf(r))
		answer(w, http.StatusOK, map[string]string{"status": "paid"})
	})
}
