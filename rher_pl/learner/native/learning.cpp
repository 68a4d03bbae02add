// Many updates, one after the other. A weight is stepped as soon as its gradient is known; what follows
// it and the panels that hold it are brought up to date while it is in reach, so that each is read
// once an update. The numbers are those that gradients.cpp and steps.cpp give one update at a time.

extern "C" {

// What an optimizer has of each parameter of a network, and the averages that follow after each update.
struct Trained {
    AdamRule rule;
    float *const *values, *const *means, *const *squares, *const *steps;
    float *const *targets, *const *averages;  // averages: null if there are none
    float tau, average_rate;
};

// Samples of the first batch, those of the others right after them; the first update's number.
struct Batches {
    Sample first;
    int32_t count, number, policy_delay;
};

struct Results {
    float* q;  // [members, updates, batch]
    double *critic_losses, *actor_losses;
    double* terms;  // room for [members + 1, batch]
};

}  // extern "C"

namespace {

Sample sample_at(const Batches& batches, const Sizes& s, int update) {
    const Sample& first = batches.first;
    const int64_t row = int64_t(update) * s.batch, input = row * s.inputs, action = row * s.actions;
    return {first.inputs + input, first.action + action, first.next_inputs + input,
            first.noise + action, first.reward + row,    first.terminated + row};
}

// A parameter of one member, or its part.
struct Parameter {
    float *value, *mean, *square, *target, *average;
    float tau, average_rate;

    Parameter(const Trained& all, int t, int64_t first)
        : value(all.values[t] + first), mean(all.means[t] + first), square(all.squares[t] + first),
          target(all.targets[t] + first),
          average(all.averages != nullptr ? all.averages[t] + first : nullptr), tau(all.tau),
          average_rate(all.average_rate) {}

    // The averages follow, after a step if there is a gradient.
    void move(const Adam& adam, int64_t at, int64_t count, const float* gradient) const {
        if (gradient != nullptr) adam.step(count, gradient, value + at, mean + at, square + at);
        approach(tau, count, value + at, target + at);
        if (average != nullptr) approach(average_rate, count, value + at, average + at);
    }
};

// One member of a network that is trained, and its target.
template <typename Kernel>
struct Pupil {
    const Passes<Kernel>& passes;
    const Net<Kernel>&net, &target;
    const Trained& trained;
    int member;
    Gradients gradients;

    // A thread's share of step `number`, or of the way of the averages alone if there is no trace.
    void move(Thread thread, int number, const Trace<Kernel>* trace) const {
        if (trace != nullptr) passes.small_gradients(thread, *trace, gradients);
        const int layers = passes.s.layers, hidden = net.hidden, outputs = net.outputs;
        const Range units = thread.share(hidden, PANEL);
        for (int l = 0; l < layers; ++l) {
            move_weights(thread, number, l, trace);
            move_small(number, 2 * l + 1, hidden, units, trace);
        }
        move_small(number, 2 * layers, hidden * outputs,
                   {units.first * outputs, units.last * outputs}, trace);
        if (thread.number == 0) move_small(number, 2 * layers + 1, outputs, {0, outputs}, trace);
        net.prepare_head(units);
        target.prepare_head(units);
    }

   private:
    // Strip by strip, as much as stays in reach from the gradient to the panels.
    void move_weights(Thread thread, int number, int layer, const Trace<Kernel>* trace) const {
        const typename Kernel::Weight &weight = net.weights[layer], &follower = target.weights[layer];
        const int out = weight.out, t = 2 * layer;
        const Parameter parameter(trained, t, int64_t(member) * weight.in * out);
        const Adam adam = step(t, number);
        const Range own = thread.share(weight.in, Kernel::STRIP);
        for (int i = own.first; i < own.last; i += Kernel::STRIP) {
            const Range rows{i, std::min(i + Kernel::STRIP, own.last)};
            const int64_t at = int64_t(i) * out, count = int64_t(rows.last - i) * out;
            if (trace != nullptr)
                Kernel::weight_gradient(rows, trace->before(layer), trace->d[layer],
                                        gradients.parameters[t]);
            parameter.move(adam, at, count, gradient(t, at, trace));
            for (int j = 0; j < out; j += PANEL) {
                if (trace != nullptr) Kernel::refresh(weight, rows, j, layer > 0);
                Kernel::refresh(follower, rows, j, false);
            }
        }
    }

    // A bias, or a part of the head.
    void move_small(int number, int t, int size, Range range, const Trace<Kernel>* trace) const {
        Parameter(trained, t, int64_t(member) * size)
            .move(step(t, number), range.first, range.last - range.first,
                  gradient(t, range.first, trace));
    }

    Adam step(int t, int number) const {
        return Adam(trained.rule, *trained.steps[t] + double(number));
    }

    const float* gradient(int t, int64_t first, const Trace<Kernel>* trace) const {
        return trace == nullptr ? nullptr : gradients.parameters[t] + first;
    }
};

template <typename Kernel>
void learn_from(const Sizes& s, const Rule& rule, const Networks& networks, const Trained& critic,
                const Trained& actor, const Batches& batches, char* scratch, float* critic_flat,
                float* actor_flat, const Results& results) {
    const Learner<Kernel> learner(s, networks, scratch);
    std::vector<Pupil<Kernel>> critics;
    for (int e = 0; e < s.members; ++e)
        critics.push_back({learner.regression, learner.critics[e], learner.target_critics[e], critic, e,
                           Gradients(critic_flat, s, s.members, e, s.inputs + s.actions, 1)});
    const Pupil<Kernel> pupil{learner.ascent, learner.actor, learner.target_actor, actor, 0,
                              Gradients(actor_flat, s, 1, 0, s.inputs, s.actions)};
    double* const actor_terms = results.terms + int64_t(s.members) * s.batch;

    in_threads(s.threads, [&](Thread thread) {
        const Duty duty(s.members, thread);
        learner.actor.prepare(true, thread);
        learner.target_actor.prepare(false, thread);
        duty.each([&](int e) {
            learner.critics[e].prepare(true, duty.thread);
            learner.target_critics[e].prepare(false, duty.thread);
        });
        meet();
        for (int u = 0, ascents = 0; u < batches.count; ++u) {
            const Sample sample = sample_at(batches, s, u);
            const bool ascend = (batches.number + u) % batches.policy_delay == 0;
            learner.regress(thread, rule, sample, results.q + int64_t(u) * s.batch,
                            int64_t(batches.count) * s.batch, results.terms,
                            [&](int e, const Trace<Kernel>& trace) {
                                critics[e].move(duty.thread, u + 1, &trace);
                            });
            if (!ascend) pupil.move(thread, 0, nullptr);
            meet();
            if (thread.number == 0)
                results.critic_losses[u] = sum(results.terms, s.members * s.batch) / s.batch;
            if (!ascend) continue;
            ++ascents;
            learner.ascend(thread, rule, sample.inputs, actor_terms,
                           [&](const Trace<Kernel>& trace) { pupil.move(thread, ascents, &trace); });
            meet();
            if (thread.number == 0) results.actor_losses[ascents - 1] = sum(actor_terms, s.batch);
        }
    });
}

}  // namespace

extern "C" {

// As many updates as there are batches. Gradients: room for those of the critics and of the actor.
void learn(const Sizes* s, int32_t reduced, const Rule* rule, const Networks* networks,
           const Trained* critic, const Trained* actor, const Batches* batches, char* scratch,
           float* critic_gradients, float* actor_gradients, const Results* results) {
    const auto compute = reduced ? learn_from<Reduced> : learn_from<Full>;
    compute(*s, *rule, *networks, *critic, *actor, *batches, scratch, critic_gradients,
            actor_gradients, *results);
    const int last = batches->number + batches->count - 1, delay = batches->policy_delay;
    const int ascents = last / delay - (batches->number - 1) / delay;
    for (int t = 0; t < 2 * (s->layers + 1); ++t) {
        *critic->steps[t] += batches->count;
        *actor->steps[t] += ascents;
    }
}

}  // extern "C"
