package mfaweb_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/mfaweb"
)

// toy is a type of factor from outside, as passkeys are: each challenge has a word of its own, and
// the right answer is that word. internal/itest has real passkeys.
type toy struct{}

// toyOptions are what a toy asks, and what answers it.
type toyOptions struct {
	Word string `json:"word"`
}

func (toy) Enroll(params []byte) ([]byte, error) {
	if !bytes.Equal(params, []byte(`{"label":"ann@example.com"}`)) {
		return nil, errors.New("another label: " + string(params))
	}
	return []byte("enrolled"), nil
}

func (toy) Begin(mfa.MethodFactor, []mfa.MethodFactor) (options, kept []byte, err error) {
	options, err = json.Marshal(toyOptions{rand.Text()})
	return options, options, err
}

func (toy) Claims(_, _ []byte) string { return "" }

func (toy) Finish(f mfa.MethodFactor, kept, answer []byte) ([]byte, error) {
	var asked, answered toyOptions
	err := errors.Join(json.Unmarshal(kept, &asked), json.Unmarshal(answer, &answered))
	if err == nil && answered != asked {
		err = errors.New("another word")
	}
	return f.State, err
}

func (toy) Describe([]byte) (amr []string, details []byte) { return []string{"user"}, nil }

func withToys(c *mfa.Config, _ *mfaweb.Config) {
	c.Methods = []mfa.Method{{Type: "toy", Ceremony: toy{}}}
}

// word challenges a toy, and is the word that answers.
func (b *browser) word(q answer, factor string) string {
	b.Helper()
	asked := members{"question": q.get("question.id"), "factor_id": factor}
	return b.post("/mfa/challenge", asked).must(http.StatusOK).get("options.word")
}

// says answers a question that a toy was challenged for.
func (b *browser) says(q answer, word string) answer {
	b.Helper()
	return b.post("/mfa/verify", members{
		"question": q.get("question.id"), "answer": toyOptions{word},
	})
}
