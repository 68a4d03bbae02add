// Gradients of one update, for whoever steps the weights.

namespace {

template <typename Kernel>
void regress_critics(const Sizes& s, const Rule& rule, const Networks& networks,
                     const Sample& sample, char* scratch, float* flat, float* q, double* errors) {
    const Learner<Kernel> learner(s, networks, scratch);
    const CriticPasses<Kernel>& passes = learner.regression;
    in_threads(s.threads, [&](Thread thread) {
        const Duty duty(s.members, thread);
        learner.target_actor.prepare(false, thread);
        duty.each([&](int e) {
            learner.target_critics[e].prepare(false, duty.thread);
            learner.critics[e].prepare(true, duty.thread);
        });
        meet();
        learner.regress(thread, rule, sample, q, s.batch, errors,
                        [&](int e, const Trace<Kernel>& trace) {
                            passes.gradients(duty.thread, trace,
                                             Gradients(flat, s, s.members, e, passes.width, 1));
                        });
    });
}

template <typename Kernel>
void ascend_critic(const Sizes& s, const Rule& rule, const Networks& networks, const float* inputs,
                   char* scratch, float* flat, double* losses) {
    const Learner<Kernel> learner(s, networks, scratch);
    in_threads(s.threads, [&](Thread thread) {
        const Duty duty(s.members, thread);
        if (duty.things.first == 0) learner.critics[0].prepare(true, duty.thread);
        learner.actor.prepare(true, thread);
        meet();
        learner.ascend(thread, rule, inputs, losses, [&](const Trace<Kernel>& trace) {
            learner.ascent.gradients(thread, trace, Gradients(flat, s, 1, 0, s.inputs, s.actions));
        });
    });
}

}  // namespace

extern "C" {

// Bytes of scratch, aligned to 64, that the functions below need.
int64_t scratch_size(const Sizes* s, int32_t reduced) {
    const Networks none{};
    return BEYOND + (reduced ? Learner<Reduced>(*s, none, nullptr).arena.used
                             : Learner<Full>(*s, none, nullptr).arena.used);
}

// Regress all critics on the clipped double-Q target: values q [members, batch], gradients in the
// order of the critics' parameters, returns the loss. `terms` has room for [members, batch].
double critic_gradients(const Sizes* s, int32_t reduced, const Rule* rule, const Networks* networks,
                        const Sample* sample, char* scratch, float* gradients, float* q,
                        double* terms) {
    const auto compute = reduced ? regress_critics<Reduced> : regress_critics<Full>;
    compute(*s, *rule, *networks, *sample, scratch, gradients, q, terms);
    return sum(terms, s->members * s->batch) / s->batch;
}

// Ascend the first critic's value of the actor's own actions; gradients in the order of the actor's
// parameters, returns the loss.
double actor_gradients(const Sizes* s, int32_t reduced, const Rule* rule, const Networks* networks,
                       const float* inputs, char* scratch, float* gradients, double* terms) {
    const auto compute = reduced ? ascend_critic<Reduced> : ascend_critic<Full>;
    compute(*s, *rule, *networks, inputs, scratch, gradients, terms);
    return sum(terms, s->batch);
}

}  // extern "C"
