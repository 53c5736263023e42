package control

import (
	"context"

	"serin"
)

// What the operations on single qualifiers have in common.

// refWith returns the violations as an error, or else what the name and the qualifier refer to.
func (v *violations) refWith(c *Control, name, qualifier *string) (serin.Ref, error) {
	if err := v.err(); err != nil {
		return serin.Ref{}, err
	}
	return c.ref(name, qualifier)
}

// functionOr returns a function from the routing table, or the error for a missing one.
func (c *Control) functionOr(name string, missing error) (*serin.Function, error) {
	f, ok := c.Table.Function(name)
	if !ok {
		return nil, missing
	}
	return f, nil
}

// updateOr is update with an error of its own for a missing function.
func (c *Control) updateOr(ctx context.Context, name string, missing error, rules func(*serin.Function) error) (*serin.Function, error) {
	if _, err := c.functionOr(name, missing); err != nil {
		return nil, err
	}
	return c.update(ctx, name, "", rules)
}

// maxAttached checks the size of a page of a list of attachments.
func (v *violations) maxAttached(n *int32) { v.between("maxItems", n, 1, maxPage) }

// attachedPage returns a page of the qualifiers of a function whose attachments are wanted.
func attachedPage(f *serin.Function, wanted func(serin.Attachments) bool, marker *string, maxItems *int32) ([]string, *string, error) {
	same := func(q string) string { return q }
	return paginate(f.AttachedTo(wanted), marker, maxItems, same, serin.CompareQualifiers)
}

// int32s converts what the SDK has as int32.
func int32s(n *int) *int32 {
	if n == nil {
		return nil
	}
	return new(int32(*n))
}

func ints(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}
